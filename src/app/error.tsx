"use client";
// A page outside of an organization that could not be made.
import { ErrorPage } from "./_shell/error-page";
import { PublicHeader } from "./_shell/public-header";

export default function RootError({ error, retry }: { error: unknown; retry: () => void }) {
  return (
    <>
      <PublicHeader />
      <ErrorPage error={error} retry={retry} />
    </>
  );
}
