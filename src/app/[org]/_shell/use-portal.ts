"use client";
import { sayFailure } from "../../_trpc/failures";
// The way to Stripe's portal: cards, invoices, cancellation.
import { trpc } from "../../_trpc/react";

/** Opens Stripe's portal in this tab. `opening` stays true until the browser has left the page. */
export function usePortal(organizationId: string): { open: () => void; opening: boolean } {
  const portal = trpc.subscription.portal.useMutation({
    onSuccess: ({ url }) => window.location.assign(url),
    onError: (error) => sayFailure(error, "The billing portal could not be opened"),
  });
  return {
    open: () => portal.mutate({ organizationId }),
    opening: portal.isPending || portal.isSuccess,
  };
}
