// What credits were spent on, by day and event.
import { byEvent, type EventUsage, previousPeriod, type UsageDay, type UsagePeriod } from "~/domain/usage";
import { asOrganization, type Transaction } from "../db";

export interface Usage {
  period: UsagePeriod;
  comparedWith: UsagePeriod;
  total: number;
  previousTotal: number;
  events: EventUsage[];
  days: UsageDay[];
}

/** Usage since `from`, compared with the same length of time before it. */
export function getUsage(organizationId: string, from: Date, now: Date): Promise<Usage> {
  const comparedWith = previousPeriod(from, now);
  return asOrganization(organizationId, async (tx) => {
    const days = await usageByDay(tx, organizationId, { from, to: now });
    const before = await usageByDay(tx, organizationId, comparedWith);
    const sum = (rows: UsageDay[]) => rows.reduce((total, row) => total + row.credits, 0);
    return {
      period: { from, to: now },
      comparedWith,
      total: sum(days),
      previousTotal: sum(before),
      events: byEvent(days, before),
      days,
    };
  });
}

async function usageByDay(tx: Transaction, organizationId: string, period: UsagePeriod): Promise<UsageDay[]> {
  const rows = await tx.$queryRaw<{ day: Date; event_name: string; credits: bigint; quantity: bigint }[]>`
    SELECT date_trunc('day', created_at, 'UTC') AS day, event_name, -sum(amount)::bigint AS credits, sum(quantity)::bigint AS quantity
    FROM credit_transactions
    WHERE organization_id = ${organizationId}::uuid AND type = 'consume'
      AND created_at >= ${period.from}::timestamptz AND created_at < ${period.to}::timestamptz
    GROUP BY 1, 2 ORDER BY 1, 2`;
  return rows.map((row) => ({
    day: row.day,
    eventName: row.event_name,
    credits: Number(row.credits),
    quantity: Number(row.quantity),
  }));
}
