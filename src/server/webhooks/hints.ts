// What is kept beside an event's body so that events of one customer and of one object find each other. Read from the body, so
// never trusted: whose an event is, and what has changed, is asked of Stripe.
import { isReadable } from "~/domain/text";
import { idOf, isLiveMode, type Stripe } from "../stripe";
import { type SyncTarget, targetOf } from "../stripe/events";
import { type EventHint, readHint } from "../stripe/facts";

/** An event's hints as they are stored; null where its body does not say, or where we do not listen to it. */
export interface StoredHint {
  target: SyncTarget | null;
  /** Of a charge, a refund or a dispute it is the payment that it is about, where the body names it. */
  objectId: string | null;
  customerId: string | null;
  /** The subscription that an invoice or a checkout is about. */
  subscriptionId: string | null;
}

export function storedHintOf(event: Stripe.Event): StoredHint {
  const target = targetOf(event.type);
  if (target === null) return { target, objectId: null, customerId: null, subscriptionId: null };
  const hint = readHint(event);
  const objectId =
    target === "payment_intent" ? (hint.paymentIntentId ?? hint.chargeId ?? hint.objectId) : hint.objectId;
  return {
    target,
    objectId: asId(objectId),
    customerId: asId(hint.customerId),
    subscriptionId: asId(subscriptionNamedBy(event, hint)),
  };
}

function subscriptionNamedBy(event: Stripe.Event, hint: EventHint): unknown {
  const object = event.data.object as {
    object?: string;
    subscription?: string | { id: string } | null;
    parent?: { subscription_details?: { subscription?: string | { id: string } | null } | null } | null;
  };
  if (object.object === "subscription") return hint.objectId;
  if (object.object === "checkout.session") return idOf(object.subscription);
  return object.object === "invoice" ? idOf(object.parent?.subscription_details?.subscription) : null;
}

const LONGEST_ID = 255;

/** What a signature does not promise: that a body's ids are ones, or can be kept. */
function asId(value: unknown): string | null {
  return typeof value === "string" && value.length > 0 && value.length <= LONGEST_ID && isReadable(value)
    ? value
    : null;
}

/** What an event is before anybody has looked at it, and why where that is the end of it. */
export function firstStatusOf(event: Pick<Stripe.Event, "type" | "livemode">): {
  status: "received" | "ignored" | "refused";
  outcome: string | null;
} {
  if (event.livemode !== isLiveMode()) {
    const outcome = `an event of ${event.livemode ? "live" : "test"} mode, while our key is for the other`;
    return { status: "refused", outcome };
  }
  if (targetOf(event.type) === null) return { status: "ignored", outcome: "a type that we do not listen to" };
  return { status: "received", outcome: null };
}
