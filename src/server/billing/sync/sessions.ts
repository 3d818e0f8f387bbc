// How a checkout session came out.
import type { Transaction } from "../../db";
import type { SessionFacts } from "../../stripe/facts";
import type { SyncRun } from "./run";

export type SessionOutcome = "open" | "processing" | "paid" | "failed" | "expired";

export function sessionOutcome(facts: SessionFacts): SessionOutcome {
  if (facts.status === "expired") return "expired";
  if (facts.status !== "complete") return "open";
  if (facts.paymentStatus === "paid" || facts.paymentStatus === "no_payment_required") return "paid";
  // Completed but unpaid: a bank debit under way, until its payment intent falls back to asking for another method.
  const failed = facts.paymentIntentStatus === "requires_payment_method" || facts.paymentIntentStatus === "canceled";
  return failed ? "failed" : "processing";
}

export async function saveSession(
  tx: Transaction,
  run: SyncRun,
  facts: SessionFacts,
  outcome: SessionOutcome,
): Promise<void> {
  await tx.checkoutSession.updateMany({
    where: { organizationId: run.lock.organizationId, stripeSessionId: facts.id, NOT: { status: outcome } },
    data: { status: outcome, completedAt: outcome === "open" ? null : run.now },
  });
}
