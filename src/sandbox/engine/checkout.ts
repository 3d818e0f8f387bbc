// What a hosted Checkout page does when its customer submits it: pay, save the card, make what was bought.
import { invalidRequest, missingResource } from "../errors";
import { newId, randomText } from "../ids";
import type { CheckoutSession, Customer, PaymentIntent, PaymentMethod, SetupIntent } from "../types";
import type { CheckoutPlan, World } from "../world";
import { type DebitType, newBankMethod } from "./bank-accounts";
import { attach, cardBehind, type Failure, newPaymentMethod } from "./cards";
import { checkDiscounts, defaultRatesOf, locateSession, redeemablesOf, redeemSession } from "./checkout-amounts";
import { newCustomer } from "./customer";
import { createInvoice } from "./invoice-draft";
import { finalizeInvoice, settle } from "./invoicing";
import { purchaseLine } from "./lines";
import { authenticateIntent, confirmIntent, createIntent, type Outcome } from "./payment";
import { createSubscription } from "./subscription";

const DAY = 86_400;

export interface CardInput {
  number: string;
  expMonth?: number;
  expYear?: number;
}

export interface Submission {
  email: string;
  name: string | null;
  /** Where the customer is, as two letters; left out: US, or what was given before. */
  country?: string;
  /** Left out only where the session asks for no card. */
  card?: CardInput;
  /** A bank account in place of a card. */
  account?: { type: DebitType; number: string };
}

export type CheckoutOutcome =
  | { status: "complete" }
  | { status: "declined"; failure: Failure }
  | { status: "requires_action" }
  | { status: "expired" | "already_complete" };

export function getSession(world: World, id: string): CheckoutSession {
  const session = world.sessions.get(id);
  if (!session) throw new Error(`session ${id} is gone`);
  return session;
}

function getPlan(world: World, id: string): CheckoutPlan {
  const plan = world.checkoutPlans.get(id);
  if (!plan) throw new Error(`the plan of session ${id} is gone`);
  return plan;
}

function patchPlan(world: World, id: string, changes: Partial<CheckoutPlan>): void {
  world.checkoutPlans.put({ ...getPlan(world, id), ...changes });
}

/** When a trial that begins now would end, if there is one. */
export function trialEndOf(world: World, plan: CheckoutPlan): number | null {
  return plan.trialEnd ?? (plan.trialPeriodDays ? world.now() + plan.trialPeriodDays * DAY : null);
}

/** Whether the page asks for a card. */
export function asksForCard(session: CheckoutSession): boolean {
  if (session.mode === "setup" || (session.amount_total ?? 0) > 0) return true;
  return session.mode === "subscription" && session.payment_method_collection !== "if_required";
}

function ensureCustomer(world: World, session: CheckoutSession, given: Submission): Customer | null {
  if (session.customer) {
    const known = world.customers.get(session.customer);
    if (!known) throw missingResource("customer", session.customer, "customer");
    return known;
  }
  if (session.mode === "payment" && session.customer_creation !== "always") return null;
  const address = keepsAddress(session) ? (session.customer_details?.address ?? null) : null;
  const customer = newCustomer(world, { email: given.email, name: given.name, address });
  world.sessions.patch(session.id, { customer: customer.id });
  return customer;
}

/** Whether a customer that the session makes gets the address of the page: where it matters for tax, or was asked for. */
function keepsAddress(session: CheckoutSession): boolean {
  return session.automatic_tax.enabled || session.billing_address_collection === "required";
}

/** Submits the page. A declined card leaves the session open, to be tried again. */
export function submitCheckout(world: World, sessionId: string, given: Submission): CheckoutOutcome {
  const session = getSession(world, sessionId);
  return world.onClockOf(session.customer, () => {
    if (session.status === "complete") return { status: "already_complete" };
    if (session.status !== "open") return { status: "expired" };
    const known = session.customer ? world.customers.get(session.customer) : undefined;
    world.sessions.patch(sessionId, {
      customer_details: {
        address: session.customer_details?.address ?? null,
        business_name: null,
        email: given.email,
        individual_name: null,
        name: given.name,
        phone: null,
        tax_exempt: known?.tax_exempt ?? "none",
        tax_ids: known ? world.taxIds.by("customer", known.id).map(({ type, value }) => ({ type, value })) : [],
      },
    });
    const country = given.country ?? session.customer_details?.address?.country ?? known?.address?.country ?? "US";
    const priced = locateSession(world, getSession(world, sessionId), country);
    // Refuses what can no longer be redeemed before anything is paid.
    checkDiscounts(world, priced);
    const method = methodOf(world, priced, given);
    if (!method) return finish(world, sessionId, given, null, null);
    if ((priced.amount_total ?? 0) > 0) return pay(world, priced, given, method);
    return saveCard(world, priced, given, method);
  });
}

function methodOf(world: World, session: CheckoutSession, given: Submission): PaymentMethod | null {
  const type = given.account?.type ?? (given.card ? "card" : null);
  if (type && !session.payment_method_types.includes(type)) {
    throw invalidRequest(`This Checkout Session offers ${session.payment_method_types.join(", ")} only, not ${type}.`);
  }
  if (given.account) return newBankMethod(world, given.account.number, given);
  return given.card ? newPaymentMethod(world, given.card, given) : null;
}

function pay(world: World, session: CheckoutSession, given: Submission, method: PaymentMethod): CheckoutOutcome {
  const plan = getPlan(world, session.id);
  const amount = session.amount_total ?? 0;
  // What is due may have changed since the last try, by a code or another country.
  const intent =
    (plan.paymentIntent && world.paymentIntents.patch(plan.paymentIntent, { amount })) ||
    createIntent(world, {
      amount,
      currency: session.currency ?? "usd",
      customer: session.customer,
      description: session.mode === "subscription" ? "Subscription creation" : plan.paymentDescription,
      metadata: session.mode === "subscription" ? {} : plan.paymentMetadata,
      setupFutureUsage: session.mode === "subscription" ? "off_session" : plan.setupFutureUsage,
      types: session.payment_method_types,
    });
  patchPlan(world, session.id, { paymentIntent: intent.id, authenticating: null });
  const outcome = confirmIntent(world, intent.id, method);
  return conclude(world, session.id, given, method, intent, outcome);
}

function conclude(
  world: World,
  sessionId: string,
  given: Submission,
  method: PaymentMethod,
  intent: PaymentIntent,
  outcome: Outcome,
): CheckoutOutcome {
  if (outcome.kind === "failed") return { status: "declined", failure: outcome.failure };
  if (outcome.kind === "requires_action") {
    patchPlan(world, sessionId, { authenticating: method.id });
    return { status: "requires_action" };
  }
  return finish(world, sessionId, given, method, { intent: intent.id, outcome });
}

/** A card that is only saved: for a trial, or in setup mode. */
function saveCard(world: World, session: CheckoutSession, given: Submission, method: PaymentMethod): CheckoutOutcome {
  const card = cardBehind(world, method.id);
  if (card.declines) return { status: "declined", failure: card.declines };
  if (card.authentication) {
    patchPlan(world, session.id, { authenticating: method.id });
    return { status: "requires_action" };
  }
  return finish(world, session.id, given, method, null);
}

/** The customer has answered the bank's question. */
export function authenticateCheckout(world: World, sessionId: string, success: boolean): CheckoutOutcome {
  const session = getSession(world, sessionId);
  const plan = getPlan(world, sessionId);
  const method = plan.authenticating ? world.paymentMethods.get(plan.authenticating) : undefined;
  if (session.status === "complete") return { status: "already_complete" };
  if (session.status !== "open" || !method) return { status: "expired" };
  return world.onClockOf(session.customer, () => {
    const given = {
      email: session.customer_details?.email ?? session.customer_email ?? "",
      name: session.customer_details?.name ?? null,
    };
    patchPlan(world, sessionId, { authenticating: null });
    const intent = plan.paymentIntent ? world.paymentIntents.get(plan.paymentIntent) : undefined;
    if (intent?.status === "requires_action") {
      return conclude(world, sessionId, given, method, intent, authenticateIntent(world, intent.id, success));
    }
    if (!success) {
      const message =
        "We are unable to authenticate your payment method. Please choose a different payment method and try again.";
      return { status: "declined", failure: { code: "setup_intent_authentication_failure", message } };
    }
    const secret = world.cards.get(method.id);
    if (secret) world.cards.put({ ...secret, authenticated: true });
    return finish(world, sessionId, given, method, null);
  });
}

type Payment = { intent: string; outcome: Outcome } | null;

function finish(
  world: World,
  sessionId: string,
  given: Submission,
  method: PaymentMethod | null,
  payment: Payment,
): CheckoutOutcome {
  const session = getSession(world, sessionId);
  const plan = getPlan(world, sessionId);
  const customer = ensureCustomer(world, session, given);
  if (customer) updateCustomer(world, customer, session, plan, given);
  const keeps = session.mode !== "payment" || plan.setupFutureUsage !== null;
  if (method && customer && keeps) attach(world, method.id, customer, world.cards.get(method.id)?.authenticated);
  if (payment && customer) linkCustomer(world, payment.intent, customer.id);
  const made = make(world, session, plan, customer, method, payment);
  world.scheduler.plan("session.expire", sessionId, null, null);
  const complete = world.sessions.patch(sessionId, {
    ...made,
    customer: customer?.id ?? null,
    status: "complete",
    url: null,
    payment_status: payment ? (payment.outcome.kind === "processing" ? "unpaid" : "paid") : "no_payment_required",
  });
  world.events.emit("checkout.session.completed", complete);
  return { status: "complete" };
}

function updateCustomer(
  world: World,
  customer: Customer,
  session: CheckoutSession,
  plan: CheckoutPlan,
  given: Submission,
): void {
  const changes: Partial<Customer> = {};
  const address = session.customer_details?.address;
  if (plan.customerUpdate.address && address) changes.address = address;
  if (plan.customerUpdate.name && given.name) changes.name = given.name;
  if (!customer.email && given.email) changes.email = given.email;
  if (Object.keys(changes).length > 0) world.change(world.customers, customer.id, changes, "customer.updated");
}

function linkCustomer(world: World, intentId: string, customer: string): void {
  world.paymentIntents.patch(intentId, { customer });
  for (const charge of world.charges.by("payment_intent", intentId)) world.charges.patch(charge.id, { customer });
}

function make(
  world: World,
  session: CheckoutSession,
  plan: CheckoutPlan,
  customer: Customer | null,
  method: PaymentMethod | null,
  payment: Payment,
): Partial<CheckoutSession> {
  if (session.mode === "setup" && method) {
    const intent = newSetupIntent(world, customer?.id ?? null, method.id, plan.setupMetadata);
    return { setup_intent: intent.id };
  }
  if (session.mode === "subscription" && customer) return subscribe(world, session, plan, customer, method, payment);
  const discounts = redeemSession(world, session);
  if (!payment) return {};
  const invoice =
    session.invoice_creation?.enabled && customer
      ? invoicePurchase(world, session, plan, customer, payment, discounts)
      : null;
  return { payment_intent: payment.intent, invoice };
}

function subscribe(
  world: World,
  session: CheckoutSession,
  plan: CheckoutPlan,
  customer: Customer,
  method: PaymentMethod | null,
  payment: Payment,
): Partial<CheckoutSession> {
  const items = plan.items.flatMap(({ price: id, quantity }) => {
    const price = world.prices.get(id);
    return price?.recurring ? [{ price, quantity }] : [];
  });
  // A saved card for a trial goes through a setup intent, as nothing is paid yet.
  if (method && !payment) newSetupIntent(world, customer.id, method.id, {});
  const { subscription } = createSubscription(world, {
    customer: world.customers.get(customer.id) ?? customer,
    items,
    currency: session.currency ?? "usd",
    defaultPaymentMethod: method?.id ?? null,
    description: plan.subscriptionDescription,
    metadata: plan.subscriptionMetadata,
    trialEnd: trialEndOf(world, plan),
    billingCycleAnchor: plan.billingCycleAnchor,
    proration: plan.proration,
    missingPaymentMethod: plan.missingPaymentMethod,
    firstPayment: payment ?? "now",
    discounts: redeemablesOf(world, session),
    automaticTax: session.automatic_tax.enabled,
    defaultTaxRates: defaultRatesOf(world, session),
    leavesItems: true,
    oneOff: plan.items.flatMap(({ price: id, quantity }) => {
      const price = world.prices.get(id);
      return price && !price.recurring ? [purchaseLine(world, price, session.currency ?? "usd", quantity)] : [];
    }),
  });
  return { subscription: subscription.id, invoice: subscription.latest_invoice };
}

function invoicePurchase(
  world: World,
  session: CheckoutSession,
  plan: CheckoutPlan,
  customer: Customer,
  payment: NonNullable<Payment>,
  discounts: string[],
): string {
  const now = world.now();
  const currency = session.currency ?? "usd";
  const invoice = createInvoice(world, {
    customer: customer.id,
    currency,
    billingReason: "manual",
    lines: plan.items.flatMap(({ price: id, quantity }) => {
      const price = world.prices.get(id);
      return price ? [purchaseLine(world, price, currency, quantity)] : [];
    }),
    periodStart: now,
    periodEnd: now,
    discounts,
    automaticTax: session.automatic_tax.enabled,
    metadata: plan.invoiceMetadata,
    description: session.invoice_creation?.invoice_data.description ?? null,
    autoAdvance: false,
  });
  finalizeInvoice(world, invoice.id, payment.intent);
  settle(world, invoice.id, payment.outcome);
  return invoice.id;
}

/** A card saved without paying. */
export function newSetupIntent(
  world: World,
  customer: string | null,
  method: string | null,
  metadata: Record<string, string>,
): SetupIntent {
  const id = newId("seti");
  const intent = world.setupIntents.put({
    id,
    object: "setup_intent",
    allowed_payment_method_types: null,
    application: null,
    automatic_payment_methods: null,
    cancellation_reason: null,
    client_secret: `${id}_secret_${randomText(24)}`,
    created: world.now(),
    customer,
    customer_account: null,
    description: null,
    excluded_payment_method_types: null,
    flow_directions: null,
    last_setup_error: null,
    latest_attempt: null,
    livemode: false,
    mandate: null,
    metadata,
    next_action: null,
    on_behalf_of: null,
    payment_method: method,
    payment_method_configuration_details: null,
    payment_method_options: { card: { mandate_options: null, network: null, request_three_d_secure: "automatic" } },
    payment_method_types: ["card"],
    single_use_mandate: null,
    status: method ? "succeeded" : "requires_payment_method",
    usage: "off_session",
  } satisfies SetupIntent);
  world.events.emit("setup_intent.created", intent);
  if (method) world.events.emit("setup_intent.succeeded", intent);
  return intent;
}

/** Nobody came in time, or the seller closed it. */
export function expireSession(world: World, id: string): CheckoutSession | null {
  const session = world.sessions.get(id);
  if (session?.status !== "open") return null;
  world.scheduler.plan("session.expire", id, null, null);
  const expired = world.sessions.patch(id, { status: "expired", url: null });
  world.events.emit("checkout.session.expired", expired);
  return expired;
}
