// Whether Stripe and our rows agree: the last comparisons, what they found, and what waits for a person.
import type { Metadata } from "next";
import { Suspense } from "react";
import { now } from "~/server/clock";
import { caller, requirePlatformAdmin } from "../../_trpc/server";
import { AdminSkeleton } from "../_shell/admin-skeleton";
import { Reconciliation } from "./reconciliation";

export const metadata: Metadata = { title: "Reconciliation" };

const RUNS_SHOWN = 10;
const ALERTS_SHOWN = 50;

export default async function ReconciliationPage() {
  // Before anything is sent: whoever may not come in gets a real 404.
  await requirePlatformAdmin("/admin/reconciliation");
  return (
    <Suspense fallback={<AdminSkeleton title="Reconciliation" panels={["Runs", "Open alerts"]} />}>
      <LoadedReconciliation />
    </Suspense>
  );
}

async function LoadedReconciliation() {
  const api = await caller();
  const [runs, alerts] = await Promise.all([
    api.admin.reconciliation.list({ limit: RUNS_SHOWN }),
    api.admin.alerts.list({ limit: ALERTS_SHOWN }),
  ]);
  return (
    <Reconciliation
      initialRuns={runs}
      runsShown={RUNS_SHOWN}
      initialAlerts={alerts}
      alertsShown={ALERTS_SHOWN}
      now={now()}
    />
  );
}
