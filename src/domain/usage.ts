// How usage is counted by day and event. No IO, no clock.

export interface UsageDay {
  /** Midnight UTC of the day. */
  day: Date;
  eventName: string;
  credits: number;
  quantity: number;
}

export interface EventUsage {
  eventName: string;
  credits: number;
  quantity: number;
  /** Credits in the period before, up to the same point of it. */
  previousCredits: number;
}

export interface UsagePeriod {
  from: Date;
  to: Date;
}

/** The period before this one, of the same length up to `now`: what this period so far is compared with. */
export function previousPeriod(from: Date, now: Date): UsagePeriod {
  const lengthMs = now.getTime() - from.getTime();
  return { from: new Date(from.getTime() - lengthMs), to: from };
}

/** Totals per event, largest first; an event used only before counts too. */
export function byEvent(current: readonly UsageDay[], previous: readonly UsageDay[]): EventUsage[] {
  const totals = new Map<string, EventUsage>();
  const of = (eventName: string): EventUsage => {
    const known = totals.get(eventName);
    if (known) return known;
    const fresh = { eventName, credits: 0, quantity: 0, previousCredits: 0 };
    totals.set(eventName, fresh);
    return fresh;
  };
  for (const row of current) {
    const total = of(row.eventName);
    total.credits += row.credits;
    total.quantity += row.quantity;
  }
  for (const row of previous) of(row.eventName).previousCredits += row.credits;
  return [...totals.values()].sort((a, b) => b.credits - a.credits || (a.eventName < b.eventName ? -1 : 1));
}
