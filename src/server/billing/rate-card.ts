// Editing the rate card: rates with dates, organizations' own rates, new events. An edit changes the future only; what was
// in force is kept, and each transaction has the rate that it was made under.
import type { Credits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import {
  changeRate,
  type DatedRate,
  firstFree,
  firstRate,
  type Rate,
  type RatedEvent,
  requireNotPassed,
} from "~/domain/rate-card";
import { asPlatform, isUniqueViolation, type Transaction } from "../db";
import { newId } from "../db/keys";
import { ratedEventOf } from "./credit-events";

/** An event by its id or its name. */
export type EventAddress = { id: string } | { eventName: string };

interface Edit {
  actor: string;
  now: Date;
}

export interface EditedEvent {
  id: string;
  name: string;
  /** Raised by each edit. */
  version: number;
}

export interface NewEvent extends Edit {
  name: string;
  description: string;
  category: string;
  cost: Credits;
  perUnits: number;
  /** Unknown to consumers before it; null for at once. */
  activeFrom: Date | null;
}

/** Puts an event on the rate card. @throws BillingError INVALID_INPUT where the name is taken */
export async function createEvent(event: NewEvent): Promise<EditedEvent> {
  const { name, description, category, activeFrom, now } = event;
  const id = newId(now);
  const cost = { cost: BigInt(event.cost), perUnits: BigInt(event.perUnits) };
  try {
    await asPlatform(async (tx) => {
      const dates = { activeFrom, createdAt: now, updatedAt: now };
      await tx.creditEvent.create({ data: { id, name, description, category, ...cost, ...dates } });
    });
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    throw new BillingError("INVALID_INPUT", `There is an event "${name}" already.`, { eventName: name });
  }
  return { id, name, version: 1 };
}

/**
 * Gives an event another rate, from an instant on.
 * @param change.effectiveFrom null for at once; the same instant again replaces a rate that has not begun
 * @throws BillingError UNKNOWN_EVENT, INVALID_INPUT (an instant that has passed)
 */
export function setRate(
  change: Edit & { event: EventAddress; rate: Rate; effectiveFrom: Date | null },
): Promise<EditedEvent & { effectiveFrom: Date }> {
  const { actor, now } = change;
  return edit(change, async (tx, event) => {
    const { rate, replaces } = changeRate(event, change.rate, change.effectiveFrom, now);
    if (replaces) await tx.creditEventRate.deleteMany({ where: { eventId: event.id, effectiveFrom: rate.from } });
    await insertRate(tx, event.id, rate, { actor, now });
    return { effectiveFrom: rate.from };
  });
}

/** Switches an event on or off. @throws BillingError UNKNOWN_EVENT */
export function setActive(change: Edit & { event: EventAddress; active: boolean }): Promise<EditedEvent> {
  return edit(change, async (tx, event) => {
    await tx.creditEvent.update({ where: { id: event.id }, data: { active: change.active } });
    return {};
  });
}

/**
 * Gives an organization a rate of its own for an event. Where several are in force the latest to begin counts.
 * @param change.effectiveFrom null for at once
 * @param change.effectiveUntil from then on the event costs what it costs everybody; null for no end
 * @throws BillingError UNKNOWN_EVENT, NOT_FOUND (organization), INVALID_INPUT (an instant that has passed, an end before the
 *   beginning)
 */
export function setOverride(
  change: Edit & {
    organizationId: string;
    event: EventAddress;
    rate: Rate;
    effectiveFrom: Date | null;
    effectiveUntil: Date | null;
  },
): Promise<EditedEvent & { effectiveFrom: Date }> {
  const { organizationId, rate, effectiveUntil, now } = change;
  return edit(change, async (tx, event) => {
    await requireOrganization(tx, organizationId);
    const known = await tx.creditEventOverride.findMany({ where: { organizationId, eventId: event.id } });
    const begun = known.map((override) => ({ from: override.effectiveFrom }));
    const effectiveFrom = change.effectiveFrom ?? firstFree(begun, now);
    requireNotPassed(effectiveFrom, now);
    if (effectiveUntil !== null && effectiveUntil <= effectiveFrom) {
      throw new BillingError("INVALID_INPUT", "The rate must end after it begins.", { effectiveFrom, effectiveUntil });
    }
    const address = { organizationId, eventId: event.id, effectiveFrom };
    // One that has not begun: nothing was taken under it.
    await tx.creditEventOverride.deleteMany({ where: address });
    const data = { cost: BigInt(rate.cost), perUnits: BigInt(rate.perUnits), effectiveUntil, createdAt: now };
    await tx.creditEventOverride.create({ data: { ...address, ...data } });
    return { effectiveFrom };
  });
}

/**
 * Ends an organization's own rate for an event, and takes back what was to come of it.
 * @returns how many were ended or taken back
 * @throws BillingError UNKNOWN_EVENT, NOT_FOUND (organization)
 */
export function removeOverride(
  change: Edit & { organizationId: string; event: EventAddress },
): Promise<EditedEvent & { removed: number }> {
  const { organizationId, now } = change;
  return edit(change, async (tx, event) => {
    await requireOrganization(tx, organizationId);
    const mine = { organizationId, eventId: event.id };
    const taken = await tx.creditEventOverride.deleteMany({ where: { ...mine, effectiveFrom: { gte: now } } });
    const ended = await tx.creditEventOverride.updateMany({
      where: { ...mine, OR: [{ effectiveUntil: null }, { effectiveUntil: { gt: now } }] },
      data: { effectiveUntil: now },
    });
    return { removed: taken.count + ended.count };
  });
}

/** An edit of one event, after the one before it: raises its version, and writes down what it cost until now. */
function edit<T extends object>(
  { event: address, actor, now }: Edit & { event: EventAddress },
  work: (tx: Transaction, event: RatedEvent) => Promise<T>,
): Promise<EditedEvent & T> {
  return asPlatform(async (tx) => {
    const event = await lockEvent(tx, address);
    const first = firstRate(event);
    if (first) await insertRate(tx, event.id, first, { actor, now });
    const result = await work(tx, event);
    const version = event.version + 1;
    await tx.creditEvent.update({ where: { id: event.id }, data: { version, updatedAt: now } });
    return { id: event.id, name: event.name, version, ...result };
  });
}

async function lockEvent(tx: Transaction, address: EventAddress): Promise<RatedEvent> {
  const id = "id" in address ? address.id : null;
  const name = "id" in address ? null : address.eventName;
  const [locked] = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM credit_events WHERE id = ${id}::uuid OR name = ${name} FOR UPDATE`;
  if (!locked) throw new BillingError("UNKNOWN_EVENT", "There is no such event.", address);
  const rates = { orderBy: { effectiveFrom: "asc" } } as const;
  return ratedEventOf(await tx.creditEvent.findUniqueOrThrow({ where: { id: locked.id }, include: { rates } }));
}

async function insertRate(tx: Transaction, eventId: string, rate: DatedRate, { actor, now }: Edit): Promise<void> {
  await tx.creditEventRate.create({
    data: {
      id: newId(now),
      eventId,
      cost: BigInt(rate.cost),
      perUnits: BigInt(rate.perUnits),
      effectiveFrom: rate.from,
      version: rate.version,
      createdBy: actor,
      createdAt: now,
    },
  });
}

async function requireOrganization(tx: Transaction, organizationId: string): Promise<void> {
  if (await tx.organization.findFirst({ where: { id: organizationId, deletedAt: null }, select: { id: true } })) return;
  throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
}
