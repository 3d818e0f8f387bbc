// What a ledger entry is to those who read it: its types in words, its name, and why which lots paid.
import { formatCredits, inWords } from "./format";

/** Those of the ledger have words of their own; others are shown as they are. */
export type TransactionType = string;

const typeWords: Record<string, string> = {
  consume: "Usage",
  grant: "Grant",
  expiry: "Expiry",
  reversal: "Correction",
  adjustment: "Adjustment",
  refund: "Refund",
  dispute: "Dispute",
  transfer: "Transfer",
  purchase: "Purchase",
  promotion: "Promotion",
  hold: "Held",
  release: "Freed",
  debt: "Debt",
};

export function typeInWords(type: TransactionType): string {
  return typeWords[type] ?? type.charAt(0).toUpperCase() + type.slice(1).replaceAll("_", " ");
}

export interface Named {
  type: TransactionType;
  eventName?: string | null;
  quantity?: number | null;
  /** Says what it was when there is no event: "Pack of 2,500", "Pro, January". */
  label?: string | null;
}

/** "15 × ai_inference", "Pack of 2,500", "Correction". */
export function nameOf(transaction: Named, locale = "en-US"): string {
  // What gives a take back names its event too, but is none.
  if (transaction.eventName && !(transaction.type === "reversal" && transaction.label)) {
    const times = transaction.quantity ?? 1;
    return `${formatCredits(times, { locale })} × ${transaction.eventName}`;
  }
  return transaction.label ?? typeInWords(transaction.type);
}

export interface Moved {
  type: TransactionType;
  amount: number;
  /** Change of what is set aside, and of what is owed. */
  held?: number;
  debt?: number;
}

/** What a row moved: "−375"; where the balance stayed as it was, what was set aside, freed or owed: "40 held", "40 freed". */
export function movementInWords({ type, amount, held = 0, debt = 0 }: Moved, locale = "en-US"): string {
  const credits = (value: number) => formatCredits(Math.abs(value), { locale });
  if (amount !== 0) return formatCredits(amount, { locale, sign: "always" });
  if (debt !== 0) return `${credits(debt)} ${debt > 0 ? "owed" : "no longer owed"}`;
  if (held > 0) return `${credits(held)} ${type === "dispute" ? "frozen" : "held"}`;
  return held < 0 ? `${credits(held)} freed` : formatCredits(0, { locale });
}

export type BurnOrder = "never_expiring_first" | "expiring_first";

export interface QueuedLot {
  id: string;
  /** "Pack of 10,000, bought 31 December" */
  label: string;
  expiresAt: Date | null;
  /** What was in it before. */
  before: number;
  /** What it gave; 0: the payment did not reach it. */
  took: number;
}

const orderWords: Record<BurnOrder, string> = {
  never_expiring_first: "Credits that never expire go first, oldest lot first; then those that expire, soonest first.",
  expiring_first: "Credits that expire go first, soonest first; then those that never expire, oldest lot first.",
};

const places = ["first", "second", "third", "fourth", "fifth", "sixth"];
const counts = ["No lot", "One lot", "Two lots", "Three lots", "Four lots", "Five lots", "Six lots"];

/** "Two lots paid for it" */
export function payersInWords(queue: readonly QueuedLot[]): string {
  const paid = queue.filter((lot) => lot.took > 0).length;
  return `${counts[paid] ?? `${paid} lots`} paid for it`;
}

/** The rule, and how it came out: "The first lot had only 340, so the second gave the other 35." */
export function explainPayment(queue: readonly QueuedLot[], order: BurnOrder, locale = "en-US"): string {
  const payers = queue.filter((lot) => lot.took > 0);
  const credits = (amount: number) => formatCredits(amount, { locale });
  const [first, second] = payers;
  if (!first) return orderWords[order];
  if (!second) return `${orderWords[order]} The first lot had enough.`;
  if (payers.length === 2) {
    return `${orderWords[order]} The first lot had only ${credits(first.before)}, so the second gave the other ${credits(second.took)}.`;
  }
  const emptied = payers.slice(0, -1);
  const last = payers.at(-1) ?? second;
  const had = inWords(
    emptied.map((lot) => credits(lot.before)),
    locale,
  );
  const place = places[payers.length - 1] ?? "last";
  return `${orderWords[order]} The first ${emptied.length} lots had ${had}, so the ${place} gave the other ${credits(last.took)}.`;
}
