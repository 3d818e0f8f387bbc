// Overview: what is left, until when, what is charged next, and what needs somebody.
import type { Metadata } from "next";
import { Suspense } from "react";
import { now } from "~/server/clock";
import { caller, requireOrganization } from "../../_trpc/server";
import { Overview } from "./_overview/overview";
import { OverviewSkeleton } from "./_overview/overview-skeleton";
import { type OrganizationView, organizationView } from "./_shared/organization-view";
import { recentUse, usedByThisTime } from "./_shared/recent-use";

export const metadata: Metadata = { title: "Overview" };

const INVOICES_SHOWN = 6;

export default async function OverviewPage({ params }: { params: Promise<{ org: string }> }) {
  const { org } = await params;
  // Before anything is sent: whoever may not come in gets a real redirect or a real 404.
  const { organization } = await requireOrganization(org, `/${org}/billing`);
  return (
    <Suspense fallback={<OverviewSkeleton />}>
      <LoadedOverview organization={organizationView(organization)} />
    </Suspense>
  );
}

async function LoadedOverview({ organization }: { organization: OrganizationView }) {
  const api = await caller();
  const organizationId = organization.id;
  const at = now();
  const [summary, history, use, byThisTime] = await Promise.all([
    api.billing.summary({ organizationId }),
    // The page stands without its invoices; their panel asks again by itself and says when it cannot.
    api.billing.history({ organizationId, limit: INVOICES_SHOWN }).catch(() => undefined),
    recentUse(organizationId, at),
    usedByThisTime(organizationId, at),
  ]);
  return (
    <Overview
      organization={organization}
      initialSummary={summary}
      initialHistory={history}
      recentUse={use}
      usedByThisTime={byThisTime}
      invoicesShown={INVOICES_SHOWN}
    />
  );
}
