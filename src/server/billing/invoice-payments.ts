// Paying an invoice that is open, on somebody's click.
import { declineMessage } from "~/domain/declines";
import { BillingError } from "~/domain/errors";
import { asOrganization } from "../db";
import { expectObject, findAtStripe, idOf, isUnderWay, paymentFailureOf, type Stripe } from "../stripe";
import { INVOICE_EXPAND, readInvoice } from "../stripe/invoice-facts";
import { type Action, act, type Doer } from "./actions";
import { syncInvoice } from "./sync";

export interface PaymentOutcome {
  /** `payment_required`: somebody has to confirm it, or give a card, at `url`. `failed`: the bank said no. */
  status: "paid" | "payment_required" | "failed";
  /** The invoice's own page. */
  url?: string;
  /** Why not, in plain words. */
  message?: string;
}

const UUID = /^[0-9a-f-]{36}$/i;

/**
 * Pays an open invoice of the organization with its card. Twice charges once.
 * @param invoiceId Stripe's id, or that of its line in the history
 * @throws BillingError NOT_FOUND for one that is not this organization's, WRONG_STATE for one that nothing is to be paid of, or that a bank decides about,
 *   STRIPE_UNAVAILABLE
 */
export function payInvoice(doer: Doer, invoiceId: string): Promise<PaymentOutcome> {
  return act(doer, async (action) => {
    const invoice = await requireOwnInvoice(action, invoiceId);
    if (invoice.status === "open") return pay(action, invoice);
    // Paid in this moment, maybe by the try before.
    await synchronize(action, invoice.id);
    if (invoice.status === "paid") return { status: "paid" };
    throw new BillingError("WRONG_STATE", "Nothing is to be paid of this invoice.", { status: invoice.status });
  });
}

async function requireOwnInvoice(action: Action, invoiceId: string): Promise<Stripe.Invoice> {
  const { organizationId, organization, stripe } = action;
  const id = UUID.test(invoiceId) ? await stripeIdOf(organizationId, invoiceId) : invoiceId;
  const invoice = id ? await findAtStripe("invoice", () => stripe.invoices.retrieve(id)) : null;
  const customer = idOf(invoice?.customer);
  if (!invoice || customer === null || customer !== organization.stripeCustomerId) {
    throw new BillingError("NOT_FOUND", "There is no such invoice.", { invoiceId });
  }
  return invoice;
}

async function stripeIdOf(organizationId: string, id: string): Promise<string | null> {
  const line = await asOrganization(organizationId, (tx) =>
    tx.billingHistory.findFirst({ where: { organizationId, id, kind: "invoice" }, select: { stripeId: true } }),
  );
  return line?.stripeId ?? null;
}

async function pay(action: Action, invoice: Stripe.Invoice): Promise<PaymentOutcome> {
  const { id } = invoice;
  const url = invoice.hosted_invoice_url ? { url: invoice.hosted_invoice_url } : {};
  const card = await cardOf(action, invoice);
  let outcome: PaymentOutcome;
  try {
    const after = await action.bringAbout(invoice, {
      name: "pay",
      // With another card it is another try; each try that was answered is on record, which makes the next one new.
      about: (state) => ({ id, attempts: state.attempt_count, card }),
      isDone: (state) => state.status !== "open",
      send: async (stripe, options) => expectObject("invoice", await stripe.invoices.pay(id, {}, options)),
      read: () => action.read("invoice", (stripe) => stripe.invoices.retrieve(id)),
    });
    outcome = after.status === "paid" ? { status: "paid" } : { status: "failed", ...url };
  } catch (error) {
    if (isUnderWay(error)) {
      throw new BillingError("WRONG_STATE", "A bank has been asked for this payment and has not answered yet.", {
        status: "processing",
      });
    }
    const failure = paymentFailureOf(error);
    if (!failure) throw error;
    outcome = tellOf(failure, url);
  }
  await action.record({
    name: `pay.${outcome.status}`,
    subject: id,
    message: `Somebody paid an open invoice: ${outcome.status.replace("_", " ")}.`,
    details: { invoiceId: id },
  });
  await synchronize(action, id);
  return outcome;
}

const CONFIRM = "Your bank wants you to confirm the payment.";

/** Why the last try of paying an open invoice did not go through, in plain words. */
export async function whyUnpaid(action: Action, invoiceId: string | null): Promise<string> {
  const invoice =
    invoiceId === null
      ? null
      : await findAtStripe("invoice", () => action.stripe.invoices.retrieve(invoiceId, { expand: INVOICE_EXPAND }));
  const paymentId = invoice && (await readInvoice(action.stripe, invoice)).paymentIntentIds.at(-1);
  const payment = paymentId
    ? await findAtStripe("payment_intent", () => action.stripe.paymentIntents.retrieve(paymentId))
    : null;
  const error = payment?.last_payment_error ?? null;
  const code = error?.decline_code ?? error?.code ?? null;
  if (code === null || code === "authentication_required" || payment?.status === "requires_action") return CONFIRM;
  return declineMessage(code);
}

function tellOf(failure: NonNullable<ReturnType<typeof paymentFailureOf>>, url: { url?: string }): PaymentOutcome {
  switch (failure.kind) {
    case "declined":
      return { status: "failed", ...url, message: declineMessage(failure.code) };
    case "needs_action":
      return { status: "payment_required", ...url, message: CONFIRM };
    case "no_method":
      return {
        status: "payment_required",
        ...url,
        message: "There is no card to pay with. Pay with one on the invoice's page.",
      };
  }
}

/** What Stripe would charge: part of what makes a try another one. */
async function cardOf({ stripe, organization }: Action, invoice: Stripe.Invoice): Promise<(string | null)[]> {
  const subscriptionId = idOf(invoice.parent?.subscription_details?.subscription);
  const [customer, subscription] = await Promise.all([
    findAtStripe<Stripe.Customer | Stripe.DeletedCustomer>("customer", () =>
      stripe.customers.retrieve(organization.stripeCustomerId ?? ""),
    ),
    subscriptionId ? findAtStripe("subscription", () => stripe.subscriptions.retrieve(subscriptionId)) : null,
  ]);
  const fallback = customer && !customer.deleted ? idOf(customer.invoice_settings.default_payment_method) : null;
  return [idOf(invoice.default_payment_method), idOf(subscription?.default_payment_method), fallback];
}

async function synchronize({ lock, stripe, now, doer }: Action, invoiceId: string): Promise<void> {
  await syncInvoice({ lock, stripe, now, cause: `action of ${doer.actor}` }, invoiceId);
}
