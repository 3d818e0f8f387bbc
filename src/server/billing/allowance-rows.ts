// An allowance's row: what it is, its slices, and the words for them.
import { type Slice, slicesOf } from "~/domain/allowance";
import type { Ungranted } from "~/domain/claims";
import type { Transaction } from "../db";
import type { CataloguePlan } from "./catalogue";

export type AllowanceRow = NonNullable<Awaited<ReturnType<Transaction["allowancePeriod"]["findUnique"]>>>;

/** A slice with its credits, and what of them was given back before they were granted. */
export interface AllowanceSlice extends Slice {
  amount: number;
  cut: number;
}

/**
 * The slices of a row: of an upgrade, those of its period that are not over when it begins. One that was over when it was paid for
 * ends later than its time, that what it gives can be spent.
 */
export function slicesOfRow(row: AllowanceRow): AllowanceSlice[] {
  const { periodStart, periodEnd, lateUntil } = row;
  const slices =
    row.slices === 1
      ? [{ start: periodStart, end: periodEnd }]
      : slicesOf(row.anchor ?? periodStart, periodEnd, row.creditInterval).filter((slice) => slice.end > periodStart);
  return slices.map(({ start, end }, index) => ({
    index,
    start: new Date(Math.max(start.getTime(), periodStart.getTime())),
    end: lateUntil !== null && lateUntil > end ? lateUntil : end,
    amount: Number(row.amounts[index] ?? row.credits),
    cut: Number(row.cuts[index] ?? 0n),
  }));
}

/** What rows have sold that is no lot. */
export function ungrantedOf(rows: readonly AllowanceRow[]): Ungranted {
  const sum = { toCome: 0, neverCome: 0, cut: 0 };
  for (const row of rows) {
    for (const { index, amount, cut } of slicesOfRow(row)) {
      sum.cut += cut;
      if (index < row.slicesGranted) continue;
      if (row.stoppedAt === null) sum.toCome += amount - cut;
      else sum.neverCome += amount - cut;
    }
  }
  return sum;
}

/** The slices of a row that began only when its subscription had left it: granted ones should not have been. */
export function slicesAfter(row: AllowanceRow, left: Date): AllowanceSlice[] {
  return slicesOfRow(row).filter(({ index, start }) => index > 0 && start >= left);
}

/** Whether what ends at an instant is of a month that its subscription had left before it began; it was told only later. */
export function isNeverMeant(row: AllowanceRow, end: Date | null): boolean {
  if (!row.stoppedAt) return false;
  return slicesAfter(row, row.stoppedAt).some((slice) => slice.end.getTime() === end?.getTime());
}

/** Whether a row is a whole period that was paid, not an upgrade within one, or a trial. */
export function isWhole(row: Pick<AllowanceRow, "trial" | "cause">): boolean {
  return !row.trial && (row.cause === "" || row.cause.startsWith(WHOLE));
}

/** Whether a row is an upgrade within a period. */
export const isUpgrade = (row: Pick<AllowanceRow, "trial" | "cause">): boolean => !row.trial && !isWhole(row);

/** What a row keeps of its plan, as it is when it is paid for. */
export const rowOf = (plan: CataloguePlan) => ({
  trial: false,
  planId: plan.planId,
  planName: plan.planName,
  planVersion: plan.planVersion,
  priceId: plan.priceId,
  credits: BigInt(plan.credits),
});

/** What the cause of a whole period begins with where another one began at the same instant. */
export const WHOLE = "whole:";

const MONTH = new Intl.DateTimeFormat("en", { month: "long", year: "numeric", timeZone: "UTC" });

/** "June 2026", the month in which a slice begins. */
export function monthOf(at: Date): string {
  return MONTH.format(at);
}

/** What a person reads of a slice's lot. */
export function labelOf(row: AllowanceRow, slice: Slice): string {
  if (row.trial) return `${row.planName}, trial`;
  return `${row.planName}, ${isWhole(row) ? "" : "upgrade, "}${monthOf(slice.start)}`;
}
