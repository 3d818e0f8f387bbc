// The credits of an organization as the strip, its key and the tables show them.

import type { CreditKind } from "~/components/billing/credit-kind";
import type { StripLot } from "~/components/billing/credit-strip";
import type { RouterOutputs } from "~/server/api/root";

export type Lot = RouterOutputs["credits"]["grants"][number];

export function kindOf(source: Lot["source"]): CreditKind {
  if (source === "purchase") return "purchased";
  return source === "subscription" ? "subscription" : "other";
}

export interface FreeLot extends Lot {
  /** Credits that can be spent now. */
  free: number;
}

/** What of each lot can be spent now: what is neither spent nor set aside. One without a place has nothing free, or is past its expiry. */
export function freeLots(lots: readonly Lot[]): FreeLot[] {
  return lots.map((lot) => ({ ...lot, free: lot.position === null ? 0 : lot.remaining - lot.held }));
}

export function stripOf(lots: readonly FreeLot[]): StripLot[] {
  return lots.map(({ id, source, label, free, expiresAt }) => ({
    id,
    kind: kindOf(source),
    label,
    amount: free,
    expiresAt,
  }));
}

/** Credits to spend now by kind; the numbers of the key add up to the notes of the strip. */
export function amountsOf(lots: readonly FreeLot[]): Record<CreditKind, number> {
  const amounts: Record<CreditKind, number> = { purchased: 0, subscription: 0, other: 0 };
  for (const lot of lots) amounts[kindOf(lot.source)] += lot.free;
  return amounts;
}

/** What is set aside: by work and gifts, and by disputes that are not decided yet. */
export function heldInWords(lots: readonly Pick<Lot, "frozen">[]): string {
  return lots.some((lot) => lot.frozen > 0) ? "Held or frozen" : "Held";
}
