// Credits: the lots and the order in which they go, packs to buy, and the ledger.
import type { Metadata } from "next";
import { Suspense } from "react";
import { now } from "~/server/clock";
import { caller, requireOrganization } from "../../../_trpc/server";
import { type OrganizationView, organizationView } from "../_shared/organization-view";
import { recentUse } from "../_shared/recent-use";
import { Credits } from "./credits";
import { CreditsSkeleton } from "./credits-skeleton";
import { type Filter, filterOf, PAGE_SIZE, queryOf } from "./filter";

export const metadata: Metadata = { title: "Credits" };

interface CreditsPageProps {
  params: Promise<{ org: string }>;
  searchParams: Promise<Record<string, string | string[] | undefined>>;
}

export default async function CreditsPage({ params, searchParams }: CreditsPageProps) {
  const { org } = await params;
  const address = await searchParams;
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(address)) if (typeof value === "string") asked.set(key, value);
  const path = `/${org}/billing/credits${asked.size > 0 ? `?${asked}` : ""}`;
  const { organization } = await requireOrganization(org, path);
  return (
    <Suspense fallback={<CreditsSkeleton />}>
      <LoadedCredits organization={organizationView(organization)} filter={filterOf(asked)} />
    </Suspense>
  );
}

const CLOSED_SHOWN = 20;
const HOLDS_SHOWN = 20;

async function LoadedCredits({ organization, filter }: { organization: OrganizationView; filter: Filter }) {
  const api = await caller();
  const organizationId = organization.id;
  const at = now();
  const [balance, grants, concerns, subscription, use, holds, transactions, products, gifts] = await Promise.all([
    api.credits.balance({ organizationId }),
    api.credits.grants({ organizationId, closedLimit: CLOSED_SHOWN }),
    api.billing.concerns({ organizationId }),
    api.subscription.get({ organizationId }),
    recentUse(organizationId, at),
    // The page stands without these; their panels ask again by themselves and say when they cannot.
    api.credits.holds({ organizationId, limit: HOLDS_SHOWN }).catch(() => undefined),
    api.credits.transactions({ organizationId, limit: PAGE_SIZE, ...queryOf(filter) }).catch(() => undefined),
    api.creditProducts.list().catch(() => undefined),
    organization.mayTransfer ? api.gifts.list({ organizationId }).catch(() => undefined) : undefined,
  ]);
  return (
    <Credits
      organization={organization}
      initialBalance={balance}
      initialGrants={grants}
      initialConcerns={concerns}
      initialHolds={holds}
      holdsShown={HOLDS_SHOWN}
      initialTransactions={transactions}
      initialProducts={products}
      initialGifts={gifts}
      initialFilter={filter}
      subscription={subscription}
      recentUse={use}
      closedShown={CLOSED_SHOWN}
      now={at}
    />
  );
}
