"use client";
// Packs of credits to buy, in the currency that the organization pays in.
import { useState } from "react";
import { PacksList } from "~/components/billing/packs-list";
import { EmptyState, ErrorState } from "~/components/ui/empty-state";
import { Panel, PanelFoot } from "~/components/ui/panel";
import { Select } from "~/components/ui/select";
import { Loading, TableSkeleton } from "~/components/ui/skeleton";
import { DEFAULT_CURRENCY } from "~/domain/pricing";
import type { RouterOutputs } from "~/server/api/root";
import { sayFailure } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";
import type { OrganizationView } from "../_shared/organization-view";

type Product = RouterOutputs["creditProducts"]["list"][number];

export interface PacksPanelProps {
  organization: OrganizationView;
  initial: Product[] | undefined;
  /** Settled by the subscription; null: the buyer chooses. */
  subscriptionCurrency: string | null;
  /** Credits a day, to say how far a pack goes; null: not known. */
  perDay: number | null;
}

export function PacksPanel({ organization, initial, subscriptionCurrency, perDay }: PacksPanelProps) {
  const products = trpc.creditProducts.list.useQuery(undefined, { initialData: initial, staleTime: 60_000 });
  const [chosen, setChosen] = useState<string | null>(null);
  const checkout = trpc.creditProducts.checkout.useMutation({
    onSuccess: ({ url }) => window.location.assign(url),
    onError: (error) => sayFailure(error, "The checkout could not be opened"),
  });

  const currencies = currenciesOf(products.data ?? []);
  const settled = subscriptionCurrency && currencies.includes(subscriptionCurrency) ? subscriptionCurrency : null;
  const usual = currencies.includes(DEFAULT_CURRENCY) ? DEFAULT_CURRENCY : currencies[0];
  const currency = settled ?? chosen ?? usual ?? DEFAULT_CURRENCY;
  const packs = packsIn(products.data ?? [], currency, perDay);
  // The button keeps working until the browser has left the page.
  const buyingId = checkout.isPending || checkout.isSuccess ? (checkout.variables?.productId ?? null) : null;
  const choice =
    !settled && currencies.length > 1 ? (
      <Select
        aria-label="Currency"
        value={currency}
        onChange={(event) => setChosen(event.target.value)}
        className="-my-1.5"
      >
        {currencies.map((code) => (
          <option key={code} value={code}>
            {code.toUpperCase()}
          </option>
        ))}
      </Select>
    ) : null;

  return (
    <Panel
      id="packs"
      className="scroll-mt-16"
      title="Buy credits"
      note={choice ? undefined : "never expire, before tax"}
      action={choice}
    >
      {products.data ? (
        packs.length > 0 ? (
          <PacksList
            packs={packs}
            buyingId={buyingId}
            onBuy={
              organization.mayManage
                ? (productId) => checkout.mutate({ organizationId: organization.id, productId, currency })
                : undefined
            }
          />
        ) : (
          <EmptyState title="No packs are for sale" text="Credits come with a plan at the start of each period." />
        )
      ) : products.isError ? (
        <ErrorState onRetry={() => products.refetch()} retrying={products.isFetching} />
      ) : (
        <Loading label="Loading packs">
          <TableSkeleton rows={3} columns={3} />
        </Loading>
      )}
      {packs.length > 0 ? (
        <PanelFoot className="border-t border-line">
          <p>
            {organization.mayManage
              ? "You pay at Stripe and come back here. Credits arrive as soon as the payment went through."
              : "An owner, admin or billing member of the organization can buy them."}
          </p>
        </PanelFoot>
      ) : null}
    </Panel>
  );
}

function currenciesOf(products: readonly Product[]): string[] {
  return [...new Set(products.flatMap((product) => product.prices.map((price) => price.currency)))].sort();
}

function packsIn(products: readonly Product[], currency: string, perDay: number | null) {
  return products.flatMap((product) => {
    const price = product.prices.find((one) => one.currency === currency);
    if (!price) return [];
    const days = perDay ? Math.round(product.credits / perDay) : 0;
    return [
      {
        id: product.id,
        credits: product.credits,
        unitAmount: price.unitAmount,
        currency,
        note: days > 0 ? `${days} more ${days === 1 ? "day" : "days"}` : undefined,
      },
    ];
  });
}
