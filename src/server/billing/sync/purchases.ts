// What a checkout of packs paid for: its line of history, and the credits; and packs that an invoice sold without one.
import { toCredits } from "~/domain/credits";
import type { Transaction } from "../../db";
import type { SessionFacts, SessionLineFacts } from "../../stripe/facts";
import type { CreditNoteFacts, InvoiceFacts } from "../../stripe/invoice-facts";
import { raiseAlert, resolveAlert } from "../alerts";
import { asOf, type CataloguePack } from "../catalogue";
import { grantOnce } from "../credits";
import { saveCreditNotes, saveHistory, shownStatus } from "./history";
import { findRemoval, tellOfLateInvoice, tellOfLatePayment } from "./removed";
import { quarantined, type SyncResult, type SyncRun, told } from "./run";
import { type SessionOutcome, saveSession } from "./sessions";
import { isNothingSold } from "./sold";

const NUMBER = new Intl.NumberFormat("en");

interface Bought {
  line: SessionLineFacts;
  pack: CataloguePack;
  credits: number;
}

/**
 * Keeps a checkout of packs as it is now, and grants what it has paid for: the credits of each pack as often as it was bought.
 * A line whose price we do not know grants nothing until it is known; the others do not wait for it.
 */
export async function savePurchase(
  tx: Transaction,
  run: SyncRun,
  facts: SessionFacts,
  outcome: SessionOutcome,
  packs: ReadonlyMap<string, CataloguePack>,
  notes: readonly CreditNoteFacts[],
): Promise<SyncResult> {
  const { organizationId } = run.lock;
  const offered = await tx.checkoutSession.findFirst({ where: { organizationId, stripeSessionId: facts.id } });
  await saveSession(tx, run, facts, outcome);
  if (outcome === "open" || outcome === "expired") return told(`purchase is ${outcome}`);
  const bought: Bought[] = [];
  const unknown: SessionLineFacts[] = [];
  for (const line of facts.lines) {
    const pack = packs.get(line.stripePriceId ?? "");
    if (!pack) {
      unknown.push(line);
      continue;
    }
    // What was offered when the session was opened, whatever the catalogue says by now.
    const offer = offered?.productPriceId === pack.priceId ? offered.credits : null;
    const credits = Number(offer ?? asOf(pack, facts.createdAt).credits);
    bought.push({ line, pack, credits: credits * line.quantity });
  }
  await saveHistory(tx, run, {
    kind: "credit_purchase",
    stripeId: facts.id,
    status: await shownStatus(tx, outcome, facts.paymentIntentId ? [facts.paymentIntentId] : []),
    description: describe(bought, unknown),
    amount: facts.total,
    tax: facts.tax,
    currency: facts.currency,
    number: facts.invoice?.number ?? null,
    invoiceUrl: facts.invoice?.hostedUrl ?? null,
    pdfUrl: facts.invoice?.pdfUrl ?? null,
    occurredAt: run.now,
  });
  await saveCreditNotes(tx, run, notes, { kind: "credit_purchase", stripeId: facts.id });
  const isUnknown = unknown.length > 0 || facts.lines.length === 0;
  if (isUnknown) await tellOfUnknownPrice(tx, run, facts, unknown);
  else await resolveAlert(tx, organizationId, "unknown_price", facts.id, run.now);
  if (outcome !== "paid") return { sentence: `purchase is ${outcome}`, quarantined: isUnknown };
  if ((await findRemoval(tx, organizationId)) !== null) {
    const { id: subject, total: amount, currency } = facts;
    // What was granted before the organization was deleted was not late.
    const isGranted = await tx.creditGrant.count({ where: { organizationId, stripeSessionId: facts.id } });
    if (isGranted === 0 && amount > 0) await tellOfLatePayment(tx, run, { subject, amount, currency });
    return { sentence: "the organization was deleted: nothing is granted", quarantined: isUnknown };
  }
  let granted = 0;
  for (const each of bought) granted += await grant(tx, run, facts, each);
  if (isUnknown && bought.length === 0) return quarantined("paid for a price that we do not know; an alert is open");
  const sentence = granted > 0 ? `granted ${granted} purchased credits` : "purchase was granted before";
  if (!isUnknown) return told(sentence);
  return quarantined(`${sentence}; a part of it is of a price that we do not know, and an alert is open`);
}

function grant(tx: Transaction, run: SyncRun, facts: SessionFacts, { line, pack, credits }: Bought): Promise<number> {
  const businessKey = facts.lines.length === 1 ? `checkout:${facts.id}` : `checkout:${facts.id}:${line.id}`;
  const paidBy = { stripePaymentId: facts.paymentIntentId, stripeSessionId: facts.id };
  return grantPack(tx, run, { businessKey, pack, credits, paidBy });
}

/** What was bought of a pack, and what says that it was paid. */
interface PaidPack {
  businessKey: string;
  pack: CataloguePack;
  credits: number;
  paidBy: { stripePaymentId: string | null; stripeSessionId: string } | { stripeInvoiceId: string };
}

/** @returns credits granted now */
async function grantPack(
  tx: Transaction,
  run: SyncRun,
  { businessKey, pack, credits, paidBy }: PaidPack,
): Promise<number> {
  const label = `Pack of ${NUMBER.format(credits)}`;
  const fresh = await grantOnce(tx, {
    organizationId: run.lock.organizationId,
    businessKey,
    type: "purchase",
    lot: {
      source: "purchase",
      amount: toCredits(credits),
      expiresAt: null,
      label,
      productId: pack.productId,
      priceId: pack.priceId,
      ...paidBy,
    },
    reason: label,
    now: run.now,
  });
  return fresh ? credits : 0;
}

/**
 * Grants the packs that a paid invoice has sold without a checkout: one that somebody made, or a renewal that had them beside its
 * plan. Each line once, by what the pack held when the invoice was made.
 * @returns a sentence; null where there are none
 */
export async function settleInvoicedPacks(
  tx: Transaction,
  run: SyncRun,
  invoice: InvoiceFacts,
  packs: ReadonlyMap<string, CataloguePack>,
): Promise<string | null> {
  if (invoice.status !== "paid" || isNothingSold(invoice, null)) return null;
  const sold = invoice.lines.flatMap((line) => {
    const pack = packs.get(line.stripePriceId ?? "");
    return pack && line.quantity > 0 && !line.givesBack ? [{ line, pack }] : [];
  });
  if (sold.length === 0) return null;
  const removedAt = await findRemoval(tx, run.lock.organizationId);
  if (removedAt !== null) {
    await tellOfLateInvoice(tx, run, invoice, removedAt);
    return "the organization was deleted: nothing is granted";
  }
  let granted = 0;
  for (const { line, pack } of sold) {
    const businessKey = `invoice:${invoice.id}:${line.id}`;
    const credits = asOf(pack, invoice.createdAt).credits * line.quantity;
    granted += await grantPack(tx, run, { businessKey, pack, credits, paidBy: { stripeInvoiceId: invoice.id } });
  }
  return granted > 0 ? `granted ${granted} purchased credits` : "its packs were granted before";
}

function describe(bought: readonly Bought[], unknown: readonly SessionLineFacts[]): string {
  const credits = bought.reduce((sum, each) => sum + each.credits, 0);
  const parts = bought.length > 0 ? [`${NUMBER.format(credits)} credits`] : [];
  return [...parts, ...unknown.map(({ description }) => description ?? "Purchase")].join(", ") || "Purchase";
}

async function tellOfUnknownPrice(
  tx: Transaction,
  run: SyncRun,
  facts: SessionFacts,
  unknown: readonly SessionLineFacts[],
): Promise<void> {
  const alert = {
    organizationId: run.lock.organizationId,
    kind: "unknown_price" as const,
    subject: facts.id,
    message: "A payment was made for a price that is not in the catalogue. No credits were granted for it.",
    details: {
      session: facts.id,
      customer: facts.customerId,
      payment: facts.paymentIntentId,
      prices: unknown.map(({ stripePriceId }) => stripePriceId),
      amount: facts.total,
      currency: facts.currency,
      cause: run.cause,
    },
  };
  await raiseAlert(tx, alert, run.now);
}
