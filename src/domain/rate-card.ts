// The rate card: what a quantity of an event costs an organization at an instant, and by which rate. No IO, no clock.
import { type Credits, toCredits } from "./credits";
import { BillingError } from "./errors";

/** A cost: `cost` credits for `perUnits` units. */
export interface Rate {
  cost: Credits;
  perUnits: number;
}

/** A rate with the instant from which it counts, and its number, which transactions keep. */
export interface DatedRate extends Rate {
  from: Date;
  version: number;
}

/** An event as the rate card has it for everybody. */
export interface RatedEvent extends Rate {
  id: string;
  name: string;
  version: number;
  active: boolean;
  /** Not known to consumers before this instant. */
  activeFrom: Date | null;
  /** Later rates, in the order of their dates. */
  rates: readonly DatedRate[];
}

/** What an organization has agreed to pay for an event, and from when until when. */
export interface RateOverride extends Rate {
  eventId: string;
  from: Date;
  until: Date | null;
}

/** The event and the rate that a take is made under. */
export interface PricedEvent extends Rate {
  id: string;
  name: string;
  version: number;
}

/**
 * The rate of an event for an organization at an instant: its own where one is in force (the latest to begin), else the
 * latest of the event's rates whose instant has come, else the event's first cost.
 */
export function rateAt(event: RatedEvent, overrides: readonly RateOverride[], at: Date): PricedEvent {
  const time = at.getTime();
  let own: RateOverride | null = null;
  for (const override of overrides) {
    const inForce = override.from.getTime() <= time && (override.until === null || override.until.getTime() > time);
    if (override.eventId === event.id && inForce && (own === null || override.from >= own.from)) own = override;
  }
  let version = event.version;
  let rate: Rate = event;
  for (const dated of event.rates) {
    if (dated.from.getTime() > time) break;
    rate = dated;
    version = dated.version;
  }
  const { cost, perUnits } = own ?? rate;
  return { id: event.id, name: event.name, version, cost, perUnits };
}

/**
 * Finds an event that can be consumed at an instant.
 * @throws BillingError UNKNOWN_EVENT; INACTIVE_EVENT where it is switched off, or begins later (`details.activeFrom`)
 */
export function requireEvent(event: RatedEvent | undefined, eventName: string, at: Date): RatedEvent {
  if (!event) throw new BillingError("UNKNOWN_EVENT", `There is no event "${eventName}".`, { eventName });
  if (!event.active) throw new BillingError("INACTIVE_EVENT", `The event "${eventName}" is not active.`, { eventName });
  if (event.activeFrom !== null && event.activeFrom > at) {
    throw new BillingError("INACTIVE_EVENT", `The event "${eventName}" is not active yet.`, {
      eventName,
      activeFrom: event.activeFrom,
    });
  }
  return event;
}

/**
 * What a quantity of an event costs: `quantity × cost / perUnits`, rounded up to a whole credit, once for each call.
 * @throws BillingError INVALID_INPUT when the quantity is no positive integer or the cost leaves the safe integers.
 */
export function costOf(rate: Rate, quantity: number): Credits {
  if (!Number.isSafeInteger(quantity) || quantity <= 0) {
    throw new BillingError("INVALID_INPUT", "The quantity must be a positive whole number.", { quantity });
  }
  const product = rate.cost * quantity;
  const exact = Number.isSafeInteger(product);
  // Beyond the safe integers a product is not exact any more, though its quotient may be small.
  const cost =
    exact && rate.perUnits === 1
      ? product
      : Number((BigInt(rate.cost) * BigInt(quantity) + BigInt(rate.perUnits) - 1n) / BigInt(rate.perUnits));
  if (!Number.isSafeInteger(cost)) {
    const details = { quantity, unitCost: rate.cost };
    throw new BillingError("INVALID_INPUT", "The quantity is too large to be counted exactly.", details);
  }
  return toCredits(cost);
}
