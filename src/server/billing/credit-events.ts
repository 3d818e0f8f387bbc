// Reading the rate card: what events cost, for everybody and for one organization. It is edited in `rate-card.ts`.
import { toCredits } from "~/domain/credits";
import { nextChange, type RatedEvent, type RateOverride, rateAt } from "~/domain/rate-card";
import { asOrganization, asPlatform, type Transaction } from "../db";

export interface CreditEvent {
  id: string;
  name: string;
  description: string;
  category: string;
  /** Credits for `perUnits` units. A part of them costs its share, rounded up to a whole credit once for each call. */
  cost: number;
  perUnits: number;
  active: boolean;
  /** Not known to consumers before it; null where it always was. */
  activeFrom: Date | null;
  /** Whether that is the organization's own rate. */
  isOwn: boolean;
  /** The next change of the rate that is known. */
  next: { cost: number; perUnits: number; from: Date } | null;
}

/** All events with their rate at this instant. @param organizationId with its own rates, where it has any */
export async function listCreditEvents(organizationId: string | null, now: Date): Promise<CreditEvent[]> {
  const rows = await asPlatform((tx) =>
    tx.creditEvent.findMany({
      orderBy: [{ category: "asc" }, { name: "asc" }],
      include: { rates: { orderBy: { effectiveFrom: "asc" } } },
    }),
  );
  const own =
    organizationId === null
      ? []
      : await asOrganization(organizationId, (tx) => tx.creditEventOverride.findMany({ where: { organizationId } }));
  const overrides = own.map(overrideOf);
  return rows.map((row) => {
    const event = ratedEventOf(row);
    const { cost, perUnits } = rateAt(event, overrides, now);
    return {
      id: row.id,
      name: row.name,
      description: row.description,
      category: row.category,
      cost,
      perUnits,
      active: row.active,
      activeFrom: row.activeFrom,
      isOwn: overrides.some(
        ({ eventId, from, until }) => eventId === row.id && from <= now && (until === null || until > now),
      ),
      next: nextChange(event, overrides, now),
    };
  });
}

type StoredEvent = NonNullable<Awaited<ReturnType<Transaction["creditEvent"]["findUnique"]>>>;
type StoredRate = NonNullable<Awaited<ReturnType<Transaction["creditEventRate"]["findUnique"]>>>;
type StoredOverride = NonNullable<Awaited<ReturnType<Transaction["creditEventOverride"]["findFirst"]>>>;

/** An event as the rules know it. @param row with its rates in the order of their dates */
export function ratedEventOf(row: StoredEvent & { rates: StoredRate[] }): RatedEvent {
  return {
    id: row.id,
    name: row.name,
    cost: toCredits(row.cost),
    perUnits: Number(row.perUnits),
    version: row.version,
    active: row.active,
    activeFrom: row.activeFrom,
    rates: row.rates.map((rate) => ({
      cost: toCredits(rate.cost),
      perUnits: Number(rate.perUnits),
      from: rate.effectiveFrom,
      version: rate.version,
    })),
  };
}

function overrideOf(row: StoredOverride): RateOverride {
  return {
    eventId: row.eventId,
    cost: toCredits(row.cost),
    perUnits: Number(row.perUnits),
    from: row.effectiveFrom,
    until: row.effectiveUntil,
  };
}
