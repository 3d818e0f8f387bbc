// What a paid invoice sold and what credit notes gave back of it, and what that claims of its credits.
import { isForgivenWhole, type SoldTruth, truthOfInvoice } from "~/domain/sold";
import type { Transaction } from "../../db";
import type { CreditNoteFacts, InvoiceFacts } from "../../stripe/invoice-facts";
import type { PaidBy } from "../claimed-lots";
import type { ClaimCauses } from "../claims";
import { claimPaidLots } from "../payments";
import type { SyncRun } from "./run";

/** Whether nobody paid an invoice for anything: credit notes have taken it away, and Stripe calls it paid. */
export function isNothingSold(invoice: InvoiceFacts, planItem: string | null): boolean {
  return invoice.status === "paid" && isForgivenWhole(invoice, planItem);
}

/**
 * Keeps what a paid invoice sold, however it was paid.
 * @param planItem the item of the subscription that is its plan
 * @returns whether something of it has changed, so that its claims are to be looked at
 */
export async function saveSold(
  tx: Transaction,
  run: SyncRun,
  invoice: InvoiceFacts,
  notes: readonly CreditNoteFacts[],
  planItem: string | null,
): Promise<boolean> {
  if (invoice.status !== "paid") return false;
  return keep(tx, run, invoice, truthOfInvoice(invoice, givenBackBy(notes), planItem));
}

/** The same of the invoice of a checkout, whose credits are known by their payment. @param sold minor units, tax included */
export async function saveSoldAtCheckout(
  tx: Transaction,
  run: SyncRun,
  invoice: { id: string; currency: string },
  sold: number,
  notes: readonly CreditNoteFacts[],
): Promise<boolean> {
  const givenBack = givenBackBy(notes);
  return givenBack > 0 && keep(tx, run, invoice, { sold, givenBack });
}

const givenBackBy = (notes: readonly CreditNoteFacts[]): number =>
  notes.filter(({ status }) => status !== "void").reduce((sum, { givenBack }) => sum + givenBack, 0);

async function keep(
  tx: Transaction,
  run: SyncRun,
  { id, currency }: { id: string; currency: string },
  truth: SoldTruth,
): Promise<boolean> {
  const known = await tx.stripeInvoice.findUnique({ where: { id } });
  const isSame = Number(known?.sold ?? 0n) === truth.sold && Number(known?.givenBack ?? 0n) === truth.givenBack;
  if (isSame) return false;
  const { organizationId } = run.lock;
  const row = { sold: BigInt(truth.sold), givenBack: BigInt(truth.givenBack), syncedAt: run.now };
  await tx.stripeInvoice.upsert({ where: { id }, create: { id, organizationId, currency, ...row }, update: row });
  return true;
}

/** Makes what is claimed of an invoice's credits agree with what it sold. @returns what it did, in words */
export function claimSold(
  tx: Transaction,
  run: SyncRun,
  paidBy: PaidBy,
  notes: readonly CreditNoteFacts[],
): Promise<string | null> {
  const note = notes.find(({ status, givenBack }) => status !== "void" && givenBack > 0);
  const reference = note?.id ?? paidBy.stripeInvoiceId ?? "";
  const reason = note ? "A credit note gave back what was paid" : "What the invoice sold is known";
  const causes: ClaimCauses = {
    taking: { type: "refund", reference, reason },
    freezing: { type: "dispute", reference, reason },
  };
  return claimPaidLots(tx, paidBy, causes, run.now);
}
