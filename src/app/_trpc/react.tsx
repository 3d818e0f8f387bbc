"use client";
// tRPC in the browser: typed hooks and their provider.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { httpBatchLink, TRPCClientError } from "@trpc/client";
import { createTRPCReact } from "@trpc/react-query";
import { type ReactNode, useState } from "react";
import superjson from "superjson";
import type { BillingFailure } from "~/server/api/errors";
import type { AppRouter } from "~/server/api/root";

export const trpc = createTRPCReact<AppRouter>();

/** What Billfold said of a failure; null where no answer came. */
export function failureOf(error: unknown): BillingFailure | null {
  if (!(error instanceof TRPCClientError)) return null;
  return (error.data as { billing?: BillingFailure } | null | undefined)?.billing ?? null;
}

// Our own refusals do not change by asking again; only what may pass is tried once more.
function retry(failures: number, error: unknown): boolean {
  const failure = failureOf(error);
  const passing = failure === null || failure.code === "STRIPE_UNAVAILABLE" || failure.code === "BUSY";
  return passing && failures < 2;
}

export function TRPCProvider({ children }: { children: ReactNode }) {
  const [queryClient] = useState(
    () => new QueryClient({ defaultOptions: { queries: { staleTime: 5_000, retry, refetchOnWindowFocus: true } } }),
  );
  const [client] = useState(() =>
    trpc.createClient({ links: [httpBatchLink({ url: "/api/trpc", transformer: superjson })] }),
  );
  return (
    <trpc.Provider client={client} queryClient={queryClient}>
      <QueryClientProvider client={queryClient}>{children}</QueryClientProvider>
    </trpc.Provider>
  );
}
