// Invoices: each has its line of history, and each paid one what it pays for.
import { asPlatform } from "../../db";
import { idOf, type Stripe } from "../../stripe";
import { findPacksByStripePrice } from "../catalogue";
import { syncInvoice } from "../sync";
import type { Context, Stage } from "./context";
import { pagesOf } from "./pace";

// An invoice may be paid a while after it was made; the latest of each live subscription is looked at whatever its age.
const LATE_DAYS = 3;

export const recentInvoices: Stage = async function* (context, from) {
  const list = (page: object) => context.stripe.invoices.list({ ...page, ...context.createdSince(LATE_DAYS) });
  for await (const invoices of pagesOf(context.pace, from, list)) {
    await compareInvoices(context, invoices);
    yield invoices.at(-1)?.id ?? null;
  }
};

interface Ours {
  lines: Map<string, { status: string; amount: number }>;
  /** Invoices that something was granted for. */
  granted: Set<string>;
  /** Numbers of invoices of packs: their line is the purchase's. */
  purchases: Set<string>;
  /** Prices of packs, and the invoices that sold some without a checkout. */
  packs: ReadonlySet<string>;
  sold: Set<string>;
}

export async function compareInvoices(context: Context, invoices: readonly Stripe.Invoice[]): Promise<void> {
  const issued = invoices.filter(({ status }) => status !== "draft");
  const ours = await loadOurs(issued);
  for (const invoice of issued) {
    const { id, customer, metadata, parent } = invoice;
    // What a credit note has taken off may have left nothing that somebody paid.
    if (invoice.status === "paid" && invoice.pre_payment_credit_notes_amount === 0) context.paid.add(id);
    if (isSame(invoice, ours)) {
      context.count(1);
      continue;
    }
    const named = parent?.subscription_details?.metadata?.organizationId ?? metadata?.organizationId ?? null;
    const objectIds = [id, idOf(parent?.subscription_details?.subscription)];
    const organizationId = await context.ownerOf(id, { customerId: idOf(customer), organizationId: named, objectIds });
    if (organizationId === null) continue;
    await context.look({ organizationId, kind: "invoice", subject: id }, (run) => syncInvoice(run, id));
  }
}

async function loadOurs(invoices: readonly Stripe.Invoice[]): Promise<Ours> {
  const ids = invoices.map(({ id }) => id);
  const numbers = invoices.map(({ number }) => number).filter((number) => number !== null);
  const packs = await findPacksByStripePrice(invoices.flatMap(pricesOf));
  return asPlatform(async (tx) => {
    const lines = await tx.billingHistory.findMany({ where: { kind: "invoice", stripeId: { in: ids } } });
    const periods = await tx.allowancePeriod.findMany({
      where: { stripeInvoiceId: { in: ids } },
      select: { stripeInvoiceId: true },
    });
    const purchases = await tx.billingHistory.findMany({
      where: { kind: "credit_purchase", number: { in: numbers } },
      select: { number: true },
    });
    const lots = await tx.creditGrant.findMany({
      where: { stripeInvoiceId: { in: ids }, source: "purchase" },
      select: { stripeInvoiceId: true },
    });
    return {
      packs: new Set(packs.keys()),
      sold: new Set(lots.map(({ stripeInvoiceId }) => stripeInvoiceId ?? "")),
      lines: new Map(lines.map(({ stripeId, status, amount }) => [stripeId, { status, amount: Number(amount) }])),
      granted: new Set(periods.map(({ stripeInvoiceId }) => stripeInvoiceId ?? "")),
      purchases: new Set(purchases.map(({ number }) => number ?? "")),
    };
  });
}

/** Of the lines that come with an invoice; whoever sells packs behind ten others is told by events. */
function pricesOf({ lines }: Stripe.Invoice): string[] {
  return lines.data.map(({ pricing }) => idOf(pricing?.price_details?.price)).filter((id) => id !== null);
}

// What a line may say of an invoice that stands so.
const SHOWN: Record<string, readonly string[]> = {
  paid: ["paid", "refunded", "partially_refunded", "disputed", "dispute_lost"],
  open: ["open", "failed"],
};

/** A doubt is enough: what looks different is looked at more closely. */
function isSame(invoice: Stripe.Invoice, { lines, granted, purchases, packs, sold }: Ours): boolean {
  if (invoice.number !== null && purchases.has(invoice.number)) return true;
  const line = lines.get(invoice.id);
  const status = invoice.status ?? "draft";
  const isOfSubscription = invoice.parent?.subscription_details != null;
  const hasPacks = pricesOf(invoice).some((price) => packs.has(price));
  const isSettled =
    status !== "paid" || ((!isOfSubscription || granted.has(invoice.id)) && (!hasPacks || sold.has(invoice.id)));
  return (
    line !== undefined &&
    line.amount === invoice.total &&
    (SHOWN[status] ?? [status]).includes(line.status) &&
    isSettled
  );
}
