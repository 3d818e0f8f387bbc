// The plans of an organization: which one it has, what another would cost, and the way to subscribe.
import type { Metadata } from "next";
import { can } from "~/domain/capabilities";
import { now } from "~/server/clock";
import { currencyToShow, planQuery, readPlanChoice, type SearchParams } from "../../../_plans/plan-query";
import { caller, requireOrganization } from "../../../_trpc/server";
import { PlanChooser } from "./plan-chooser";

export const metadata: Metadata = { title: "Plans" };

interface PlansPageProps {
  params: Promise<{ org: string }>;
  searchParams: SearchParams;
}

export default async function PlansPage({ params, searchParams }: PlansPageProps) {
  const { org } = await params;
  const choice = readPlanChoice(await searchParams);
  const { organization } = await requireOrganization(org, `/${org}/billing/plans${planQuery(choice)}`);
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
