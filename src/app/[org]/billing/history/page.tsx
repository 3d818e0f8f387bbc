// What the organization was charged and refunded.
import type { Metadata } from "next";
import { Suspense } from "react";
import { LinkButton } from "~/components/ui/link-button";
import { Page, PageHead } from "~/components/ui/page";
import { can } from "~/domain/capabilities";
import { caller, requireOrganization } from "../../../_trpc/server";
import { HistoryPanel } from "./history-panel";
import { HistorySkeleton } from "./history-skeleton";
import { HISTORY_PAGE_SIZE } from "./page-size";

export const metadata: Metadata = { title: "History" };

export default async function HistoryPage({ params }: { params: Promise<{ org: string }> }) {
  const { org } = await params;
  // Before anything is sent: whoever may not come in gets a real redirect or a real 404.
  const { organization } = await requireOrganization(org, `/${org}/billing/history`);
  return (
    <Suspense fallback={<HistorySkeleton />}>
      <LoadedHistory organization={organization} />
    </Suspense>
  );
}

type Organization = Awaited<ReturnType<typeof requireOrganization>>["organization"];

async function LoadedHistory({ organization }: { organization: Organization }) {
  const api = await caller();
  const firstPage = await api.billing.history({ organizationId: organization.id, limit: HISTORY_PAGE_SIZE });
  return (
    <Page>
      <PageHead
        title="History"
        actions={<LinkButton href={`/${organization.slug}/billing/statement`}>Statement of credits</LinkButton>}
      />
      <HistoryPanel
        organizationId={organization.id}
        slug={organization.slug}
        firstPage={firstPage}
        canManage={can(organization.role, "billing:manage")}
      />
    </Page>
  );
}
