"use client";
// What stands in place of a page that could not be made: that nothing is lost, the reference for support, and another try.
import { useTransition } from "react";
import { ErrorState } from "~/components/ui/empty-state";
import { Page } from "~/components/ui/page";
import { Panel } from "~/components/ui/panel";

export function ErrorPage({ error, retry }: { error: unknown; retry: () => void }) {
  const [retrying, startTransition] = useTransition();
  return (
    <Page>
      <Panel label="Error">
        <ErrorState
          title="This page could not be loaded"
          reference={digestOf(error)}
          onRetry={() => startTransition(() => retry())}
          retrying={retrying}
        />
      </Panel>
    </Page>
  );
}

/** The number under which the server logged it. */
function digestOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("digest" in error)) return undefined;
  return typeof error.digest === "string" ? error.digest : undefined;
}
