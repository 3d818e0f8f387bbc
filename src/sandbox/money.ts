// Amounts in minor units: what a price costs in a currency, and how an amount is read by people.
import { invalidRequest } from "./errors";
import type { Price } from "./types";

const ZERO_DECIMAL = new Set("bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf".split(" "));

const THREE_DECIMAL = new Set("bhd jod kwd omr tnd".split(" "));

/** How many decimals the minor unit of a currency stands for. */
function decimalsOf(currency: string): number {
  if (ZERO_DECIMAL.has(currency)) return 0;
  return THREE_DECIMAL.has(currency) ? 3 : 2;
}

/** What a quantity of a price costs in a currency, in minor units. */
export function amountOf(price: Price, currency: string, quantity = 1): number {
  return Math.round(Number(unitAmountOf(price, currency)) * quantity);
}

/** The decimal unit amount of a price in a currency, as text. */
export function unitAmountOf(price: Price, currency: string): string {
  const option = price.currency === currency ? price : price.currency_options?.[currency];
  if (!option) {
    throw invalidRequest(
      `The price specified supports currencies of \`${price.currency}\`. This doesn't match the expected currency: \`${currency}\`.`,
      "currency",
    );
  }
  return option.unit_amount_decimal ?? String(option.unit_amount ?? 0);
}

/** `$29.00`, `¥1,200`, `KWD 1.500`. */
export function formatMoney(amount: number, currency: string): string {
  const code = currency.toUpperCase();
  const value = amount / 10 ** decimalsOf(currency);
  return new Intl.NumberFormat("en-US", { style: "currency", currency: code }).format(value);
}

/** What a person typed as an amount, such as `12.50`, in minor units; undefined for nothing. Refuses what is no amount. */
export function parseMoney(text: string, currency: string): number | undefined {
  const typed = text.trim();
  if (typed === "") return undefined;
  const decimals = decimalsOf(currency);
  const [whole = "", fraction = "", ...more] = typed.split(".");
  const amount = Number(whole + fraction.padEnd(decimals, "0"));
  const digits = /^\d*$/.test(whole + fraction) && more.length === 0 && fraction.length <= decimals;
  if (!digits || !Number.isSafeInteger(amount) || amount < 1) throw invalidRequest(`Not an amount: ${typed}`, "amount");
  return amount;
}

/** `month`, `3 months`. */
export function formatInterval(recurring: Price["recurring"]): string {
  if (!recurring) return "";
  return recurring.interval_count === 1 ? recurring.interval : `${recurring.interval_count} ${recurring.interval}s`;
}
