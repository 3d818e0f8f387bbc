"use client";
// A page of an organization that could not be made; header and tabs stay.
import { ErrorPage } from "../_shell/error-page";

export default function OrganizationError({ error, retry }: { error: unknown; retry: () => void }) {
  return <ErrorPage error={error} retry={retry} />;
}
