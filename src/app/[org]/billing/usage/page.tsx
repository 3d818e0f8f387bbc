// Usage: what ate the credits, by event, category, key, project and day, against the time before.
import type { Metadata } from "next";
import { cookies } from "next/headers";
import { Suspense } from "react";
import { now } from "~/server/clock";
import { caller, requireOrganization } from "../../../_trpc/server";
import { timeZoneOf } from "../../../_viewer/request-viewer";
import { askedBy, billingPeriodOf, type Choice, choiceOf } from "./choice";
import { Usage } from "./usage";
import { UsageSkeleton } from "./usage-skeleton";

export const metadata: Metadata = { title: "Usage" };

interface UsagePageProps {
  params: Promise<{ org: string }>;
  searchParams: Promise<Record<string, string | string[] | undefined>>;
}

export default async function UsagePage({ params, searchParams }: UsagePageProps) {
  const { org } = await params;
  const address = await searchParams;
  const asked = new URLSearchParams();
  for (const [key, value] of Object.entries(address)) if (typeof value === "string") asked.set(key, value);
  const path = `/${org}/billing/usage${asked.size > 0 ? `?${asked}` : ""}`;
  const { organization } = await requireOrganization(org, path);
  return (
    <Suspense fallback={<UsageSkeleton />}>
      <LoadedUsage organizationId={organization.id} choice={choiceOf(asked)} />
    </Suspense>
  );
}

async function LoadedUsage({ organizationId, choice }: { organizationId: string; choice: Choice }) {
  const api = await caller();
  const at = now();
  const timeZone = timeZoneOf((await cookies()).get("time-zone")?.value);
  const subscription = await api.subscription.get({ organizationId });
  const { period, step } = askedBy(choice, billingPeriodOf(subscription, at), at, timeZone);
  const question = { organizationId, ...period, timeZone };
  const [summary, series] = await Promise.all([
    // The page stands without these; it asks again by itself and says when it cannot.
    api.usage.summary(question).catch(() => undefined),
    api.usage.series({ ...question, step, by: choice.by }).catch(() => undefined),
  ]);
  return (
    <Usage
      organizationId={organizationId}
      subscription={subscription}
      initialChoice={choice}
      initial={{ period, timeZone, by: choice.by, summary, series }}
      now={at}
    />
  );
}
