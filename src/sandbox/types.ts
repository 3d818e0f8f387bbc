// The shape in which Stripe's objects are kept: exactly the SDK's types as they travel on the wire,
// with every expandable field as an id and every decimal as a string.
import type Stripe from "stripe";

type Scalar = string | number | boolean | null | undefined;

type Walk<T> = T extends Stripe.Decimal
  ? string
  : T extends Scalar
    ? T
    : T extends Array<infer U>
      ? Array<Stored<U>>
      : { [K in keyof T]: Stored<T[K]> };

/** An SDK type with expandable fields as ids and decimals as strings. */
export type Stored<T> = [Extract<T, string>] extends [never] ? Walk<T> : Extract<T, Scalar>;

export type Product = Stored<Stripe.Product>;
export type Price = Stored<Stripe.Price>;
export type Plan = Stored<Stripe.Plan>;
export type Customer = Stored<Stripe.Customer>;
export type PaymentMethod = Stored<Stripe.PaymentMethod>;
export type Subscription = Stored<Stripe.Subscription>;
export type SubscriptionItem = Stored<Stripe.SubscriptionItem>;
export type SubscriptionSchedule = Stored<Stripe.SubscriptionSchedule>;
export type Invoice = Stored<Stripe.Invoice>;
export type InvoiceLine = Stored<Stripe.InvoiceLineItem>;
export type InvoicePayment = Stored<Stripe.InvoicePayment>;
export type PaymentIntent = Stored<Stripe.PaymentIntent>;
export type SetupIntent = Stored<Stripe.SetupIntent>;
export type Charge = Stored<Stripe.Charge>;
export type Refund = Stored<Stripe.Refund>;
export type Dispute = Stored<Stripe.Dispute>;
export type BalanceTransaction = Stored<Stripe.BalanceTransaction>;
export type Coupon = Stored<Stripe.Coupon>;
export type PromotionCode = Stored<Stripe.PromotionCode>;
export type Discount = Stored<Stripe.Discount>;
export type TaxRate = Stored<Stripe.TaxRate>;
export type TaxId = Stored<Stripe.TaxId>;
export type CustomerBalanceTransaction = Stored<Stripe.CustomerBalanceTransaction>;
export type CreditNote = Stored<Stripe.CreditNote>;
export type CreditNoteLine = Stored<Stripe.CreditNoteLineItem>;
export type InvoiceItem = Stored<Stripe.InvoiceItem>;
export type Meter = Stored<Stripe.Billing.Meter>;
export type CheckoutSession = Stored<Stripe.Checkout.Session>;
export type CheckoutLine = Stored<Stripe.LineItem>;
export type PortalSession = Stored<Stripe.BillingPortal.Session>;
export type PortalConfiguration = Stored<Stripe.BillingPortal.Configuration>;
export type WebhookEndpoint = Stored<Stripe.WebhookEndpoint>;
export type TestClock = Stored<Stripe.TestHelpers.TestClock>;
export type Metadata = Record<string, string>;

/** An event as kept: the payload is the snapshot that was true when it happened. */
export interface StoredEvent {
  id: string;
  object: "event";
  api_version: string;
  created: number;
  data: { object: Record<string, unknown>; previous_attributes?: Record<string, unknown> };
  livemode: false;
  pending_webhooks: number;
  request: { id: string | null; idempotency_key: string | null };
  type: Stripe.Event["type"];
}

/** Anything that is served has at least these. */
export interface AnyObject {
  id: string;
  object: string;
}
