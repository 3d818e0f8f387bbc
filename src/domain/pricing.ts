// What plans cost and save. Money is an integer in the currency's minor unit, and never mixed with credits.

/** What paying for a year saves against twelve months, in minor units; null where it saves nothing or one is not sold. */
export function yearlySaving(monthly: number | null, yearly: number | null): number | null {
  if (monthly === null || yearly === null) return null;
  const saving = monthly * 12 - yearly;
  return saving > 0 ? saving : null;
}

export const DEFAULT_CURRENCY = "usd";

/** "$54.07", "¥5,400": an amount in minor units as a sentence has it. */
export function moneyInWords(amount: number, currency: string): string {
  const format = new Intl.NumberFormat("en-US", { style: "currency", currency: currency.toUpperCase() });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}
