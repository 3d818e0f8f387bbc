// A meter for each credit event that is active, under the event's own name: what was used can be told to Stripe under it.
import { callStripe, expectObject, type Stripe } from "../../stripe";
import { type Change, differences, fromTo, keep, onceKey } from "./changes";
import { type OurMeter, saveMeterId } from "./ours";

// How a meter adds up, and for whom. None of it can be changed at Stripe.
const FIXED = {
  default_aggregation: { formula: "sum" as const },
  customer_mapping: { type: "by_id" as const, event_payload_key: "stripe_customer_id" },
  value_settings: { event_payload_key: "value" },
};

/** @returns no change for an event that is not active and never was; two where a meter has to be made anew */
export function planMeter(stripe: Stripe, ours: OurMeter, theirs: readonly Stripe.Billing.Meter[]): Change[] {
  const { eventName, displayName, active } = ours;
  const about = { kind: "meter", name: eventName } as const;
  const named = theirs.filter((meter) => meter.event_name === eventName);
  const found =
    named.find((meter) => meter.id === ours.stripeId) ?? named.find((meter) => meter.status === "active") ?? named[0];
  if (!found) return active ? [makeMeter(stripe, ours, [])] : [];
  const isOn = found.status === "active";
  const fixed = differences(FIXED, found);
  if (active && fixed.length > 0) {
    const off = { ...about, action: "archive" as const, details: fixed, apply: () => deactivate(stripe, found) };
    return [...(isOn ? [off] : []), makeMeter(stripe, ours, [`${found.id} cannot be changed`])];
  }
  const details = isOn === active ? [] : [fromTo("active", isOn, active)];
  if (active && found.display_name !== displayName) {
    details.push(fromTo("display_name", found.display_name, displayName));
  }
  const link = () => (ours.stripeId === found.id ? undefined : saveMeterId(ours, found.id));
  if (details.length === 0 && ours.stripeId === found.id) return [keep(about.kind, about.name)];
  if (details.length === 0) {
    const linked = [fromTo("id", ours.stripeId, found.id)];
    return [{ ...about, action: "link", details: linked, apply: async () => void (await link()) }];
  }
  const apply = async () => {
    if (isOn && !active) await deactivate(stripe, found);
    if (!isOn && active) await callStripe(() => stripe.billing.meters.reactivate(found.id));
    if (active && found.display_name !== displayName) {
      await callStripe(() => stripe.billing.meters.update(found.id, { display_name: displayName }));
    }
    await link();
  };
  return [{ ...about, action: isOn && !active ? "archive" : "update", details, apply }];
}

function makeMeter(stripe: Stripe, ours: OurMeter, details: string[]): Change {
  const wanted = { ...FIXED, event_name: ours.eventName, display_name: ours.displayName };
  const apply = async () => {
    const made = await callStripe(async () =>
      expectObject(
        "billing.meter",
        await stripe.billing.meters.create(wanted, onceKey("meter", wanted, ours.stripeId)),
      ),
    );
    await saveMeterId(ours, made.id);
  };
  return { action: "create", kind: "meter", name: ours.eventName, details, apply };
}

async function deactivate(stripe: Stripe, meter: Stripe.Billing.Meter): Promise<void> {
  await callStripe(() => stripe.billing.meters.deactivate(meter.id));
}
