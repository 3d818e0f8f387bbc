// The log of Stripe's events: what came, what became of it, and what is stuck.
import type { Metadata } from "next";
import { Suspense } from "react";
import { now } from "~/server/clock";
import { LISTENED_EVENTS } from "~/server/stripe/events";
import { caller, requirePlatformAdmin } from "../../_trpc/server";
import { AdminSkeleton } from "../_shell/admin-skeleton";
import { EVENTS_SHOWN, queryOf, readEventFilter, type SearchParams } from "./filter";
import { Webhooks } from "./webhooks";

export const metadata: Metadata = { title: "Webhooks" };

export default async function WebhooksPage({ searchParams }: { searchParams: SearchParams }) {
  // Before anything is sent: whoever may not come in gets a real 404.
  await requirePlatformAdmin("/admin/webhooks");
  return (
    <Suspense fallback={<AdminSkeleton title="Webhooks" panels={["Event log"]} />}>
      <LoadedWebhooks searchParams={searchParams} />
    </Suspense>
  );
}

async function LoadedWebhooks({ searchParams }: { searchParams: SearchParams }) {
  const filter = readEventFilter(await searchParams);
  const api = await caller();
  const stuck = (status: "dead" | "quarantined") => api.admin.events.list({ status, limit: 100 });
  const [list, dead, quarantined] = await Promise.all([
    api.admin.events.list({ limit: EVENTS_SHOWN, ...queryOf(filter) }),
    stuck("dead"),
    stuck("quarantined"),
  ]);
  return (
    <Webhooks
      initialFilter={filter}
      initial={list}
      initialDead={dead}
      initialQuarantined={quarantined}
      types={Object.keys(LISTENED_EVENTS).sort()}
      now={now()}
    />
  );
}
