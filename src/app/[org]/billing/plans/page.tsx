// The plans of an organization: which one it has, what another would cost, and the way to subscribe.
import type { Metadata } from "next";
import { Suspense } from "react";
import { can } from "~/domain/capabilities";
import { now } from "~/server/clock";
import {
  currencyToShow,
  type PlanChoice,
  planQuery,
  readPlanChoice,
  type SearchParams,
} from "../../../_plans/plan-query";
import { caller, requireOrganization } from "../../../_trpc/server";
import { PlanChooser } from "./plan-chooser";
import { PlansSkeleton } from "./plans-skeleton";

export const metadata: Metadata = { title: "Plans" };

interface PlansPageProps {
  params: Promise<{ org: string }>;
  searchParams: SearchParams;
}

export default async function PlansPage({ params, searchParams }: PlansPageProps) {
  const { org } = await params;
  const choice = readPlanChoice(await searchParams);
  // Before anything is sent: whoever may not come in gets a real redirect or a real 404.
  const { organization } = await requireOrganization(org, `/${org}/billing/plans${planQuery(choice)}`);
  return (
    <Suspense fallback={<PlansSkeleton />}>
      <LoadedPlans organization={organization} choice={choice} />
    </Suspense>
  );
}

type Organization = Awaited<ReturnType<typeof requireOrganization>>["organization"];

async function LoadedPlans({ organization, choice }: { organization: Organization; choice: PlanChoice }) {
  const api = await caller();
  const organizationId = organization.id;
  const [plans, subscription, balance] = await Promise.all([
    api.plans.list(),
    api.subscription.get({ organizationId }),
    api.credits.balance({ organizationId }),
  ]);
  return (
    <PlanChooser
      organizationId={organizationId}
      organizationName={organization.name}
      plans={plans}
      initialSubscription={subscription}
      initialBalance={balance}
      choice={choice}
      initialCurrency={subscription?.currency.toUpperCase() ?? currencyToShow(plans, choice.currency)}
      canManage={can(organization.role, "billing:manage")}
      trialAvailable={organization.trialAvailable}
      now={now()}
    />
  );
}
