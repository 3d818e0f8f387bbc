// Credits that were granted for a payment: each has its payment at Stripe. One without is a matter for a person.
import { asPlatform } from "../../db";
import { findAtStripe } from "../../stripe";
import { INVOICE_EXPAND, readInvoice } from "../../stripe/invoice-facts";
import { isNothingSold } from "../sync/sold";
import type { Context } from "./context";

const BATCH = 200;

interface PaidLot {
  id: string;
  organization_id: string;
  amount: number;
  source: string;
  invoice: string | null;
  session: string | null;
}

/** Lots of the window that say what paid for them; those that were taken back whole need nothing. */
export async function* recentGrants(context: Context, from: string | null): AsyncGenerator<string | null> {
  for (let after = from ?? "00000000-0000-0000-0000-000000000000"; ; ) {
    const lots = await listLots(context, after);
    context.count(lots.length);
    for (const lot of lots) await requirePayment(context, lot);
    const last = lots.at(-1);
    if (!last || lots.length < BATCH) return;
    after = last.id;
    yield after;
  }
}

function listLots({ since }: Context, after: string): Promise<PaidLot[]> {
  return asPlatform(
    (tx) => tx.$queryRaw<PaidLot[]>`
      SELECT id, organization_id, amount::float8 AS amount, source::text AS source, stripe_invoice_id AS invoice, stripe_session_id AS session
      FROM credit_grants
      WHERE id > ${after}::uuid AND created_at >= ${since}::timestamptz AND source IN ('purchase', 'subscription')
        AND (stripe_invoice_id IS NOT NULL OR stripe_session_id IS NOT NULL) AND to_take < amount
      ORDER BY id LIMIT ${BATCH}`,
  );
}

async function requirePayment(context: Context, lot: PaidLot): Promise<void> {
  const { organization_id: organizationId, amount, invoice, session } = lot;
  const subject = session ?? invoice ?? "";
  if (context.paid.has(subject)) return;
  const isPaid = session ? await isCheckoutPaid(context, session) : await isInvoicePaid(context, subject);
  if (isPaid) {
    context.paid.add(subject);
    return;
  }
  const message = `${amount} credits were granted for ${subject}, which is not paid at Stripe. Look at it there, and take them back by an adjustment if nobody paid.`;
  const kind = "grant_without_payment";
  await context.queue({ organizationId, kind, subject, message }, kind);
}

async function isInvoicePaid(context: Context, id: string): Promise<boolean> {
  const { stripe } = context;
  const invoice = await context.ask(() =>
    findAtStripe("invoice", () => stripe.invoices.retrieve(id, { expand: INVOICE_EXPAND })),
  );
  if (invoice?.status !== "paid") return false;
  return !isNothingSold(await context.ask(() => readInvoice(stripe, invoice)), null);
}

async function isCheckoutPaid(context: Context, id: string): Promise<boolean> {
  const session = await context.ask(() =>
    findAtStripe("checkout.session", () => context.stripe.checkout.sessions.retrieve(id)),
  );
  return session?.status === "complete" && session.payment_status !== "unpaid";
}
