// A statement of credits: what there was, what moved, what is left. To be looked at, printed, or taken along as CSV.
import type { Metadata } from "next";
import { Suspense } from "react";
import { now } from "~/server/clock";
import { caller, requireOrganization } from "../../../_trpc/server";
import { daysOf, instantsOf, monthOf, type StatementDays } from "./range";
import { Statement } from "./statement";
import { StatementSkeleton } from "./statement-skeleton";

export const metadata: Metadata = { title: "Statement" };

interface StatementPageProps {
  params: Promise<{ org: string }>;
  searchParams: Promise<Record<string, string | string[] | undefined>>;
}

export default async function StatementPage({ params, searchParams }: StatementPageProps) {
  const { org } = await params;
  const days = daysOf(await searchParams, now());
  const path = `/${org}/billing/statement?${new URLSearchParams({ ...days })}`;
  const { organization } = await requireOrganization(org, path);
  return (
    // Another range is another statement: nothing of the one before stays on it.
    <Suspense key={`${days.from} ${days.to}`} fallback={<StatementSkeleton />}>
      <LoadedStatement organization={organization} days={days} />
    </Suspense>
  );
}

const ROWS_SHOWN = 100;

async function LoadedStatement({
  organization,
  days,
}: {
  organization: { id: string; name: string; slug: string };
  days: StatementDays;
}) {
  const api = await caller();
  const at = now();
  const firstPage = await api.credits.statement({
    organizationId: organization.id,
    ...instantsOf(days),
    limit: ROWS_SHOWN,
  });
  return (
    <Statement
      organization={{ id: organization.id, name: organization.name, slug: organization.slug }}
      days={days}
      months={[monthOf(at), monthOf(at, 1), monthOf(at, 2)]}
      firstPage={firstPage}
      limit={ROWS_SHOWN}
      now={at}
    />
  );
}
