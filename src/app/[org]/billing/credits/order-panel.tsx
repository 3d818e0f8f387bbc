"use client";
// The order in which credits are spent, explained, and changed by who may.
import { useRouter } from "next/navigation";
import { useId, useState } from "react";
import { Panel, PanelBody, PanelFoot } from "~/components/ui/panel";
import { toastDone } from "~/components/ui/toast";
import type { BurnOrder } from "~/domain/credits";
import { sayFailure } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";
import type { OrganizationView } from "../_shared/organization-view";

const ORDERS: readonly { value: BurnOrder; label: string; hint: string }[] = [
  {
    value: "purchased_first",
    label: "Never expiring first",
    hint: "Purchased and other credits without an end go first, oldest lot first; then those that expire, soonest first.",
  },
  {
    value: "expiring_first",
    label: "Expiring first",
    hint: "Credits that expire go first, soonest first, so less is lost; then those that never expire, oldest lot first.",
  },
];

export function OrderPanel({ organization }: { organization: OrganizationView }) {
  const name = useId();
  const router = useRouter();
  const utils = trpc.useUtils();
  const [order, setOrder] = useState(organization.burnOrder);
  const update = trpc.organizations.update.useMutation({
    onSuccess: async ({ burnOrder }) => {
      setOrder(burnOrder);
      toastDone(`${labelOf(burnOrder)}, from the next request on`);
      await utils.credits.grants.invalidate();
      await utils.billing.summary.invalidate();
      router.refresh();
    },
    onError: (error) => sayFailure(error, "The order could not be changed"),
  });
  const shown = update.isPending ? (update.variables?.burnOrder ?? order) : order;
  const change = (burnOrder: BurnOrder) => {
    if (!update.isPending) update.mutate({ organizationId: organization.id, burnOrder });
  };

  return (
    <Panel title="Order of spending">
      <PanelBody>
        {organization.mayConfigure ? (
          <fieldset className="grid gap-4" aria-busy={update.isPending || undefined}>
            <legend className="sr-only">Which credits are spent first</legend>
            {ORDERS.map((one) => (
              <div key={one.value} className="flex items-start gap-3">
                <input
                  type="radio"
                  id={`${name}-${one.value}`}
                  name={name}
                  value={one.value}
                  checked={shown === one.value}
                  onChange={() => change(one.value)}
                  aria-describedby={`${name}-${one.value}-hint`}
                  className="mt-0.5 size-4 flex-none accent-accent"
                />
                <div className="text-sm">
                  <label htmlFor={`${name}-${one.value}`} className="block font-medium">
                    {one.label}
                  </label>
                  <p id={`${name}-${one.value}-hint`} className="text-ink-2">
                    {one.hint}
                  </p>
                </div>
              </div>
            ))}
          </fieldset>
        ) : (
          <div className="text-sm">
            <p className="font-medium">{labelOf(order)}</p>
            <p className="text-ink-2">{ORDERS.find((one) => one.value === order)?.hint}</p>
          </div>
        )}
      </PanelBody>
      <PanelFoot className="border-t border-line">
        <p>
          {organization.mayConfigure
            ? "A change holds from the next request on; what was spent stays as it was."
            : "An owner, admin or billing member of the organization can change it."}
        </p>
      </PanelFoot>
    </Panel>
  );
}

function labelOf(order: BurnOrder): string {
  return ORDERS.find((one) => one.value === order)?.label ?? order;
}
