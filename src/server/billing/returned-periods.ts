// What belongs together of a subscription's item: a period that was paid, its upgrades, and the time of it that was given back.
import { type Period, periodAround } from "~/domain/prorations";
import type { Transaction } from "../db";
import { type AllowanceRow, isWhole } from "./allowance-rows";

/** A part of a period of a subscription's item, or all of it: a proration lasts until its end, wherever that is by then. */
export interface ReturnedPeriod {
  organizationId: string;
  stripeItemId: string;
  from: Date;
  until: Date;
}

export type AllowanceReturn = Awaited<ReturnType<Transaction["allowanceReturn"]["findMany"]>>[number];

interface PeriodContent {
  /** When the whole of it ends, where that is known; until when the part lasts where it is not. */
  end: Date;
  /** The whole of it and its upgrades, the newest first. */
  rows: AllowanceRow[];
  /** What was given back of it, the newest first. */
  returns: AllowanceReturn[];
  /** What else is to be taken back of it: of upgrades, for as long as the time is unpaid that they gave back. */
  withheld: number;
}

/** Everything that belongs to the period that a part is of. */
export async function readPeriod(tx: Transaction, period: ReturnedPeriod): Promise<PeriodContent> {
  const { organizationId, stripeItemId, from, until } = period;
  const rows = await tx.allowancePeriod.findMany({
    where: { organizationId, stripeItemId, trial: false },
    orderBy: [{ createdAt: "desc" }, { id: "desc" }],
  });
  const returns = await tx.allowanceReturn.findMany({
    where: { organizationId, stripeItemId },
    orderBy: [{ createdAt: "desc" }, { fromAt: "desc" }],
  });
  const end = endOf(rows, { start: from, end: until });
  const isHere = (part: Period, invoice: string | null) => endOf(rows, part, invoice).getTime() === end.getTime();
  const here = rows.filter((row) => isHere({ start: row.periodStart, end: row.periodEnd }, row.stripeInvoiceId));
  const unpaid = here.filter((row) => row.withheld > 0n && !isPaidBefore(rows, row));
  return {
    end,
    rows: here,
    withheld: unpaid.reduce((sum, row) => sum + Number(row.withheld), 0),
    returns: returns.filter((row) => isHere({ start: row.fromAt, end: row.untilAt }, row.stripeInvoiceId)),
  };
}

/**
 * When the whole period ends that a part of it is of.
 * @param rows of the part's item
 * @param invoice that says the part: what lasts beyond it and was sold there took the place of what the part is of
 */
export function endOf(rows: readonly AllowanceRow[], part: Period, invoice: string | null = null): Date {
  const wholes = rows
    .filter(
      (row) => isWhole(row) && (row.stripeInvoiceId !== invoice || row.periodEnd.getTime() === part.end.getTime()),
    )
    .map((row) => ({ start: row.periodStart, end: row.periodEnd }));
  return periodAround(wholes, part)?.end ?? part.end;
}

/** Whether something was granted for the time that an upgrade gave back: for the whole period that it is of, or an earlier upgrade of that. */
function isPaidBefore(rows: readonly AllowanceRow[], upgrade: AllowanceRow): boolean {
  const endsAt = (row: AllowanceRow) => {
    const part = { start: row.periodStart, end: row.proratedUntil ?? row.periodEnd };
    return endOf(rows, part, row.stripeInvoiceId).getTime();
  };
  const isBefore = (row: AllowanceRow) =>
    row.periodStart < upgrade.periodStart || (isWhole(row) && row.periodStart <= upgrade.periodStart);
  return rows.some((row) => row.id !== upgrade.id && isBefore(row) && endsAt(row) === endsAt(upgrade));
}
