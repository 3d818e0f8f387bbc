"use client";
// A page of the platform that could not be made; header and tabs stay.
import { ErrorPage } from "../_shell/error-page";

export default function AdminError({ error, retry }: { error: unknown; retry: () => void }) {
  return <ErrorPage error={error} retry={retry} />;
}
