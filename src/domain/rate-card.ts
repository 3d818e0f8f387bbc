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
 * The next change of what an event costs an organization, as it is known at an instant: a rate with a later date, an own
 * rate that begins or ends. Null where none is known.
 */
export function nextChange(
  event: RatedEvent,
  overrides: readonly RateOverride[],
  at: Date,
): (Rate & { from: Date }) | null {
  const now = rateAt(event, overrides, at);
  const own = overrides.filter((override) => override.eventId === event.id);
  const instants = [...event.rates.map((rate) => rate.from), ...own.flatMap(({ from, until }) => [from, until])]
    .filter((instant) => instant !== null && instant > at)
    .map((instant) => (instant as Date).getTime())
    .sort((a, b) => a - b);
  for (const instant of instants) {
    const from = new Date(instant);
    const { cost, perUnits } = rateAt(event, overrides, from);
    if (cost * now.perUnits !== now.cost * perUnits) return { cost, perUnits, from };
  }
  return null;
}

/** Before everything: from when on an event's first cost counts, once later ones are written beside it. */
export const FROM_THE_BEGINNING = new Date(0);

export interface RateChange {
  /** The event's cost until now, to be kept where nothing is written of it yet. */
  first: DatedRate | null;
  rate: DatedRate;
  /** Takes the place of one that was to begin at the same instant and has not. */
  replaces: boolean;
  version: number;
}

/**
 * What becomes of an event's rates when it gets another one. What was in force stays as it was.
 * @param from null for at once
 * @throws BillingError INVALID_INPUT for an instant that has passed
 */
export function changeRate(event: RatedEvent, rate: Rate, from: Date | null, at: Date): RateChange {
  const version = event.version + 1;
  const begins = from ?? firstFree(event.rates, at);
  requireNotPassed(begins, at);
  const replaces = event.rates.some((known) => known.from.getTime() === begins.getTime());
  if (replaces && begins.getTime() === at.getTime()) {
    throw new BillingError("INVALID_INPUT", "Another rate has begun at this instant.", { effectiveFrom: begins });
  }
  const { cost, perUnits } = rate;
  return { first: firstRate(event), rate: { cost, perUnits, from: begins, version }, replaces, version };
}

/** The event's cost until now as a rate with a date; null where one is written. */
export function firstRate(event: RatedEvent): DatedRate | null {
  if (event.rates.length > 0) return null;
  return { cost: event.cost, perUnits: event.perUnits, from: FROM_THE_BEGINNING, version: event.version };
}

/** @throws BillingError INVALID_INPUT: what was taken keeps its cost, so no rate begins before it is said */
export function requireNotPassed(effectiveFrom: Date, at: Date): void {
  if (effectiveFrom >= at) return;
  throw new BillingError("INVALID_INPUT", "A rate cannot begin in the past.", { effectiveFrom });
}

/** The instant, or the next one at which no rate begins: two edits of one millisecond both happened. */
export function firstFree(taken: readonly { from: Date }[], at: Date): Date {
  let time = at.getTime();
  const times = new Set(taken.map((one) => one.from.getTime()));
  while (times.has(time)) time += 1;
  return new Date(time);
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
