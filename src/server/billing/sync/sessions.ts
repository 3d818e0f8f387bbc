// A checkout session: how it came out, and the pack that it paid for.
import { toCredits } from "~/domain/credits";
import type { Transaction } from "../../db";
import type { SessionFacts } from "../../stripe/facts";
import { raiseAlert } from "../alerts";
import type { findPackByStripePrice } from "../catalogue";
import { grantOnce } from "../credits";
import { saveHistory, shownStatus } from "./history";
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

const NUMBER = new Intl.NumberFormat("en");

export async function savePurchase(
  tx: Transaction,
  run: SyncRun,
  facts: SessionFacts,
  outcome: SessionOutcome,
  pack: Awaited<ReturnType<typeof findPackByStripePrice>>,
): Promise<string> {
  const { organizationId } = run.lock;
  const offered = await tx.checkoutSession.findFirst({ where: { organizationId, stripeSessionId: facts.id } });
  await saveSession(tx, run, facts, outcome);
  if (outcome === "open" || outcome === "expired") return `purchase is ${outcome}`;
  if (!pack) {
    await raiseAlert(
      tx,
      {
        organizationId,
        kind: "unknown_price",
        subject: facts.id,
        message: "A payment was made for a price that is not in the catalogue. No credits were granted.",
        details: { prices: facts.stripePriceIds, session: facts.id },
      },
      run.now,
    );
    return "paid for a price that we do not know; an alert is open";
  }
  // What was offered when the session was opened, whatever the catalogue says by now.
  const credits = toCredits(offered?.credits ?? pack.credits);
  const label = `Pack of ${NUMBER.format(credits)}`;
  await saveHistory(tx, run, {
    kind: "credit_purchase",
    stripeId: facts.id,
    status: await shownStatus(tx, outcome, facts.paymentIntentId ? [facts.paymentIntentId] : []),
    description: `${NUMBER.format(credits)} credits`,
    amount: facts.total,
    tax: facts.tax,
    currency: facts.currency,
    number: facts.invoice?.number ?? null,
    invoiceUrl: facts.invoice?.hostedUrl ?? null,
    pdfUrl: facts.invoice?.pdfUrl ?? null,
    occurredAt: run.now,
  });
  if (outcome !== "paid") return `purchase is ${outcome}`;
  const fresh = await grantOnce(tx, {
    organizationId,
    businessKey: `checkout:${facts.id}`,
    type: "purchase",
    lot: {
      source: "purchase",
      amount: credits,
      expiresAt: null,
      label,
      productId: pack.productId,
      priceId: pack.priceId,
      stripePaymentId: facts.paymentIntentId,
      stripeSessionId: facts.id,
    },
    reason: label,
    now: run.now,
  });
  return fresh ? `granted ${credits} purchased credits` : "purchase was granted before";
}
