"use client";
// The way to Stripe's portal: its home, or straight to what somebody wants to do there.
import type { RouterInputs } from "~/server/api/root";
import { sayFailure } from "../../_trpc/failures";
import { trpc } from "../../_trpc/react";

export type PortalFlow = NonNullable<RouterInputs["subscription"]["portal"]["flow"]>;

/** Opens Stripe's portal in this tab, which leads back to the page it was opened from. */
export interface Portal {
  open: () => void;
  openTo: (flow: PortalFlow) => void;
  /** Stays true until the browser has left the page. */
  opening: boolean;
}

export function usePortal(organizationId: string): Portal {
  const portal = trpc.subscription.portal.useMutation({
    onSuccess: ({ url }) => window.location.assign(url),
    onError: (error) => sayFailure(error, "The billing portal could not be opened"),
  });
  const go = (flow: PortalFlow | null) => portal.mutate({ organizationId, flow, returnPath: window.location.pathname });
  return { open: () => go(null), openTo: go, opening: portal.isPending || portal.isSuccess };
}
