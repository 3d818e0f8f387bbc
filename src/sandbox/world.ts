// Everything one sandbox knows: its collections, clock, scheduler and events. Engine, routes and pages share it.
import { Clock, type Setting } from "./clock";
import { Events } from "./events";
import { Faults } from "./faults";
import { type Randomness, randomnessOf } from "./ids";
import { Scheduler } from "./scheduler";
import { type Collection, Store } from "./store";
import type {
  AnyObject,
  BalanceTransaction,
  Charge,
  CheckoutLine,
  CheckoutSession,
  Coupon,
  CreditNote,
  CreditNoteLine,
  Customer,
  CustomerBalanceTransaction,
  Discount,
  Dispute,
  Invoice,
  InvoiceItem,
  InvoiceLine,
  InvoicePayment,
  Meter,
  PaymentIntent,
  PaymentMethod,
  PortalConfiguration,
  PortalSession,
  Price,
  Product,
  PromotionCode,
  Refund,
  SetupIntent,
  Subscription,
  SubscriptionSchedule,
  TaxId,
  TaxRate,
  TestClock,
  WebhookEndpoint,
} from "./types";
import { viewOf } from "./view";

/** What a card does when it is used; kept apart, since Stripe never shows a card's number. */
export interface CardSecret {
  id: string;
  number: string;
  /** Authenticated for use while the customer is away. */
  authenticated: boolean;
}

/** A line of a Checkout session, with the session it belongs to. */
export type SessionLine = CheckoutLine & { session: string };

/** A coupon lives on for the discounts that it gave, also after it was deleted. */
export type KeptCoupon = Coupon & { deletedFromCatalogue?: boolean };

/** A line of a credit note, with the note it belongs to. */
export type NoteLine = CreditNoteLine & { note: string };

/** Usage that was reported to a meter. */
export interface MeterReading {
  id: string;
  created: number;
  event_name: string;
  identifier: string;
  payload: Record<string, string>;
  timestamp: number;
  /** The customer and the value that the meter read out of the payload. */
  customer: string;
  value: number;
}

/** What stays of a deleted object. */
export interface Tombstone {
  id: string;
  object: "customer" | "product";
  deleted: true;
}

/** What a Checkout session will make once it is paid. */
export interface CheckoutPlan {
  id: string;
  items: Array<{ price: string; quantity: number }>;
  subscriptionMetadata: Record<string, string>;
  subscriptionDescription: string | null;
  trialEnd: number | null;
  trialPeriodDays: number | null;
  billingCycleAnchor: number | null;
  /** `none`: the time up to the anchor is not charged. */
  proration?: "create_prorations" | "none";
  missingPaymentMethod: "cancel" | "create_invoice" | "pause";
  paymentMetadata: Record<string, string>;
  paymentDescription: string | null;
  setupFutureUsage: "off_session" | "on_session" | null;
  invoiceMetadata: Record<string, string>;
  customerUpdate: { name: boolean; address: boolean };
  /** Ids of the tax rates that the subscription will have by default. */
  defaultTaxRates?: string[];
  setupMetadata: Record<string, string>;
  /** The payment that was tried and failed, to be tried again. */
  paymentIntent: string | null;
  /** A payment method that waits for its owner's authentication. */
  authenticating: string | null;
}

/** What a subscription needs to live that Stripe does not show. */
export interface SubscriptionSecret {
  id: string;
  /** Prorations that wait for the next invoice. */
  pendingLines: InvoiceLine[];
  /** Of each charged line the instant from which its time was given back. */
  credited?: Record<string, number>;
  /** What an open invoice will do once it is paid. */
  onPayment?: PaymentSequel | null;
}

/** A change that waits for an invoice to be paid: an update that is pending, or the end of a pause. */
export interface PaymentSequel {
  kind: "update" | "resume";
  invoice: string;
  changes: Partial<Subscription>;
  /** What its credit lines give back. */
  credited: Record<string, number>;
  /** A resume that goes on as past due when the payment fails. */
  onAttempt?: boolean;
}

/** What an inquiry must remember in case it becomes a chargeback. */
export interface InquirySecret {
  id: string;
  /** Refunds that were made before it: those reach the customer whatever comes. */
  refundsBefore: string[];
}

/** What an endpoint signs with, and whether its deliveries are held back. */
export interface EndpointSecret {
  id: string;
  secret: string;
  /** Rolled secrets that still sign, each until an instant of real time in ms. */
  old?: Array<{ secret: string; until: number }>;
  paused?: boolean;
}

export interface MailMessage {
  id: string;
  created: number;
  from: string;
  to: string[];
  subject: string;
  text: string;
  html: string | null;
  links: string[];
}

/** The first answer to an idempotency key. */
export interface KeptAnswer {
  id: string;
  created: number;
  fingerprint: string;
  status: number;
  body: string;
  requestId: string;
}

export interface WorldOptions {
  dataDir?: string;
  /** How long a renewal invoice stays a draft. Stripe: about an hour. */
  draftSeconds: number;
  /** Days after a failed attempt until the next one. */
  retryDays: number[];
  /** What becomes of a subscription after the last one; left out: it is canceled. */
  afterLastRetry?: "cancel" | "unpaid" | "past_due";
  /** What all ids follow from; left out: the system's randomness. */
  seed?: string;
}

export class World {
  readonly store: Store;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly events: Events;
  readonly settings: Collection<Setting>;
  readonly products: Collection<Product>;
  readonly prices: Collection<Price>;
  readonly customers: Collection<Customer>;
  readonly tombstones: Collection<Tombstone>;
  readonly paymentMethods: Collection<PaymentMethod>;
  readonly cards: Collection<CardSecret>;
  readonly subscriptions: Collection<Subscription>;
  readonly subscriptionSecrets: Collection<SubscriptionSecret>;
  readonly schedules: Collection<SubscriptionSchedule>;
  readonly invoices: Collection<Invoice>;
  readonly lines: Collection<InvoiceLine>;
  readonly invoicePayments: Collection<InvoicePayment>;
  readonly paymentIntents: Collection<PaymentIntent>;
  readonly setupIntents: Collection<SetupIntent>;
  readonly charges: Collection<Charge>;
  readonly refunds: Collection<Refund>;
  readonly disputes: Collection<Dispute>;
  readonly inquirySecrets: Collection<InquirySecret>;
  readonly balanceTransactions: Collection<BalanceTransaction>;
  readonly coupons: Collection<KeptCoupon>;
  readonly promotionCodes: Collection<PromotionCode>;
  /** Also those that have ended: invoices go on naming them. */
  readonly discounts: Collection<Discount>;
  readonly taxRates: Collection<TaxRate>;
  readonly taxIds: Collection<TaxId>;
  readonly customerBalanceTransactions: Collection<CustomerBalanceTransaction>;
  readonly creditNotes: Collection<CreditNote>;
  readonly creditNoteLines: Collection<NoteLine>;
  readonly invoiceItems: Collection<InvoiceItem>;
  readonly meters: Collection<Meter>;
  readonly meterReadings: Collection<MeterReading>;
  readonly sessions: Collection<CheckoutSession>;
  readonly sessionLines: Collection<SessionLine>;
  readonly checkoutPlans: Collection<CheckoutPlan>;
  readonly portalSessions: Collection<PortalSession>;
  readonly portalConfigurations: Collection<PortalConfiguration>;
  readonly endpoints: Collection<WebhookEndpoint>;
  /** The signing secret of an endpoint: shown once, used at each delivery. */
  readonly endpointSecrets: Collection<EndpointSecret>;
  readonly faults: Faults;
  readonly testClocks: Collection<TestClock>;
  readonly mails: Collection<MailMessage>;
  readonly answers: Collection<KeptAnswer>;
  /** Where ids and secrets come from while this sandbox works. */
  random: Randomness = randomnessOf(null);
  /** Where this sandbox can be reached: links in objects start with it. */
  url = "http://127.0.0.1";

  constructor(readonly options: WorldOptions) {
    const store = new Store(options.dataDir);
    this.store = store;
    this.settings = store.collection("settings");
    this.clock = new Clock(this.settings);
    this.scheduler = new Scheduler(store, this.clock);
    this.products = store.collection("products");
    this.prices = store.collection("prices", {
      product: (price: Price) => price.product,
      lookup_key: (price: Price) => price.lookup_key,
    });
    this.customers = store.collection("customers", {
      email: (customer: Customer) => customer.email,
      test_clock: (customer: Customer) => customer.test_clock,
    });
    this.tombstones = store.collection("tombstones");
    this.paymentMethods = store.collection("payment_methods", { customer: (pm: PaymentMethod) => pm.customer });
    this.cards = store.collection("cards");
    this.subscriptions = store.collection("subscriptions", {
      customer: (subscription: Subscription) => subscription.customer,
    });
    this.subscriptionSecrets = store.collection("subscription_secrets");
    this.schedules = store.collection("subscription_schedules", {
      customer: (schedule: SubscriptionSchedule) => schedule.customer,
    });
    this.invoices = store.collection("invoices", {
      customer: (invoice: Invoice) => invoice.customer,
      subscription: (invoice: Invoice) => invoice.parent?.subscription_details?.subscription,
    });
    this.lines = store.collection("invoice_lines", {
      invoice: (line: InvoiceLine) => line.invoice,
      subscription_item: (line: InvoiceLine) => line.parent?.subscription_item_details?.subscription_item,
    });
    this.invoicePayments = store.collection("invoice_payments", {
      invoice: (payment: InvoicePayment) => payment.invoice,
      payment_intent: (payment: InvoicePayment) => payment.payment.payment_intent,
    });
    this.paymentIntents = store.collection("payment_intents", { customer: (intent: PaymentIntent) => intent.customer });
    this.setupIntents = store.collection("setup_intents", { customer: (intent: SetupIntent) => intent.customer });
    this.charges = store.collection("charges", {
      customer: (charge: Charge) => charge.customer,
      payment_intent: (charge: Charge) => charge.payment_intent,
    });
    this.refunds = store.collection("refunds", {
      charge: (refund: Refund) => refund.charge,
      payment_intent: (refund: Refund) => refund.payment_intent,
    });
    this.disputes = store.collection("disputes", {
      charge: (dispute: Dispute) => dispute.charge,
      payment_intent: (dispute: Dispute) => dispute.payment_intent,
    });
    this.inquirySecrets = store.collection("inquiry_secrets");
    this.balanceTransactions = store.collection("balance_transactions", {
      source: (entry: BalanceTransaction) => entry.source,
    });
    this.coupons = store.collection("coupons");
    this.promotionCodes = store.collection("promotion_codes", {
      code: (promotion: PromotionCode) => promotion.code.toLowerCase(),
    });
    this.discounts = store.collection("discounts");
    this.taxRates = store.collection("tax_rates");
    this.taxIds = store.collection("tax_ids", { customer: (taxId: TaxId) => taxId.customer });
    this.customerBalanceTransactions = store.collection("customer_balance_transactions", {
      customer: (entry: CustomerBalanceTransaction) => entry.customer,
      invoice: (entry: CustomerBalanceTransaction) => entry.invoice,
    });
    this.creditNotes = store.collection("credit_notes", {
      invoice: (note: CreditNote) => note.invoice,
      customer: (note: CreditNote) => note.customer,
    });
    this.creditNoteLines = store.collection("credit_note_lines", { note: (line: NoteLine) => line.note });
    this.invoiceItems = store.collection("invoice_items", {
      customer: (item: InvoiceItem) => item.customer,
      invoice: (item: InvoiceItem) => item.invoice,
    });
    this.meters = store.collection("meters", { event_name: (meter: Meter) => meter.event_name });
    this.meterReadings = store.collection("meter_readings", {
      event_name: (reading: MeterReading) => reading.event_name,
      identifier: (reading: MeterReading) => reading.identifier,
    });
    this.sessions = store.collection("checkout_sessions", {
      customer: (session: CheckoutSession) => session.customer,
      subscription: (session: CheckoutSession) => session.subscription,
      payment_intent: (session: CheckoutSession) => session.payment_intent,
    });
    this.sessionLines = store.collection("checkout_lines", { session: (line: SessionLine) => line.session });
    this.checkoutPlans = store.collection("checkout_plans");
    this.portalSessions = store.collection("portal_sessions", {
      secret: (session: PortalSession) => session.url.slice(session.url.lastIndexOf("/") + 1),
    });
    this.portalConfigurations = store.collection("portal_configurations");
    this.endpoints = store.collection("webhook_endpoints");
    this.endpointSecrets = store.collection("webhook_secrets");
    this.testClocks = store.collection("test_clocks");
    this.mails = store.collection("mails");
    this.answers = store.collection("idempotency_answers");
    this.events = new Events(store, this.clock, this.endpoints, (object) => viewOf(this, object));
    this.faults = new Faults(options.seed ?? "faults");
    this.events.delaysOf = (event, endpoint) => this.faults.delaysOf(event, endpoint);
    store.load();
    this.scheduler.restart();
    this.beginSeed();
  }

  /** Begins the seed's sequence. What was kept before has ids of the same seed, so a later start draws others. */
  beginSeed(): void {
    const { seed } = this.options;
    if (seed === undefined) return;
    const starts = Number(this.settings.get("starts")?.value ?? 0);
    this.settings.put({ id: "starts", value: starts + 1 });
    this.random = randomnessOf(starts === 0 ? seed : `${seed}\n${starts}`);
  }

  now(): number {
    return this.clock.now();
  }

  /** The test clock that a customer lives by, or null for the global one. */
  clockOf(customerId: string | null): string | null {
    return (customerId && this.customers.get(customerId)?.test_clock) || null;
  }

  /** The present of banks, which know no test clocks: the instant of the work in hand, or the global clock's. */
  bankTime(customerId: string | null): number {
    return this.clockOf(customerId) ? this.clock.global() : this.now();
  }

  /** Runs work at the present of a customer's clock. Inside a due job that is already the job's instant. */
  onClockOf<R>(customerId: string | null, work: () => R): R {
    const testClock = this.clockOf(customerId);
    const frozen = testClock && this.testClocks.get(testClock);
    if (!frozen || frozen.status === "advancing") return work();
    return this.clock.at(frozen.frozen_time, work);
  }

  /** What work comes to, when nothing that it writes is kept. */
  preview<R>(work: () => R): R {
    let found: { result: R } | undefined;
    const undone = new Error("a preview keeps nothing");
    try {
      this.store.transaction(() => {
        found = { result: work() };
        throw undone;
      });
    } catch (error) {
      if (error !== undone) throw error;
    }
    if (!found) throw undone;
    return found.result;
  }

  /** Changes an object and tells of it: one event with what was before. */
  change<T extends AnyObject>(
    collection: Collection<T & { created?: number }>,
    id: string,
    changes: Partial<T>,
    event: Parameters<Events["emit"]>[0],
  ): T {
    const found = collection.get(id);
    if (!found) throw new Error(`${collection.name} ${id} is gone`);
    const before = this.events.snapshot(found);
    const after = collection.patch(id, changes as Partial<T & { created?: number }>);
    this.events.emit(event, after, before);
    return after;
  }
}
