// The arithmetic of the strip: which notes are drawn, where the ruler has its marks, and the sentence that says it all.
import type { CreditKind } from "./credit-kind";
import { kindPhrases } from "./credit-kind";
import { creditsInWords, formatCredits, inWords } from "./format";

export interface StripLot {
  id: string;
  kind: CreditKind;
  /** "Pack of 10,000", "Pro, January" */
  label: string;
  /** Credits left and free to spend. */
  amount: number;
  expiresAt?: Date | null;
}

export interface StripNote {
  id: string;
  kind: CreditKind;
  lots: StripLot[];
  amount: number;
}

/** Lots too thin to be seen singly (under 1.5 % of all) are drawn as one note with neighbours of their kind. */
export function notesOf(lots: readonly StripLot[]): StripNote[] {
  const total = lots.reduce((sum, lot) => sum + lot.amount, 0);
  const thin = total * 0.015;
  const notes: StripNote[] = [];
  for (const lot of lots) {
    if (lot.amount <= 0) continue;
    const last = notes.at(-1);
    if (last && last.kind === lot.kind && lot.amount < thin && last.lots.every((one) => one.amount < thin)) {
      last.lots.push(lot);
      last.amount += lot.amount;
    } else {
      notes.push({ id: lot.id, kind: lot.kind, lots: [lot], amount: lot.amount });
    }
  }
  return notes;
}

export interface Ruler {
  /** Small marks between the labelled ones. */
  minor: number[];
  /** Labelled marks, without zero and without the total. */
  major: number[];
}

/** Marks in steps of 1, 2 or 5 times a power of ten, three to six of them labelled. */
export function rulerOf(total: number): Ruler {
  if (total < 2) return { minor: [], major: [] };
  const raw = total / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const factor = [1, 2, 5, 10].find((step) => step * power >= raw) ?? 10;
  const step = Math.max(1, factor * power);
  const minorStep = step / (factor === 2 ? 4 : 5);
  const major: number[] = [];
  // The total is labelled at the end; a mark right before it would run into that.
  for (let at = step; at < total * 0.92; at += step) major.push(at);
  const minor: number[] = [];
  if (Number.isInteger(minorStep)) {
    for (let at = minorStep; at < total; at += minorStep) if (at % step !== 0) minor.push(at);
  }
  return { minor, major };
}

/** What the strip shows, as one sentence or two. */
export function describeStrip(lots: readonly StripLot[], held: number, locale = "en-US"): string {
  const spendable = lots.reduce((sum, lot) => sum + lot.amount, 0);
  if (spendable + held === 0) return "No credits left.";
  const runs: { kind: CreditKind; amounts: number[] }[] = [];
  for (const lot of lots) {
    if (lot.amount <= 0) continue;
    const last = runs.at(-1);
    if (last?.kind === lot.kind) last.amounts.push(lot.amount);
    else runs.push({ kind: lot.kind, amounts: [lot.amount] });
  }
  const parts = runs.map(({ kind, amounts }) => {
    const numbers = amounts.map((amount) => formatCredits(amount, { locale }));
    const shown =
      numbers.length > 4
        ? `${formatCredits(
            amounts.reduce((a, b) => a + b, 0),
            { locale },
          )} in ${numbers.length} lots`
        : inWords(numbers, locale);
    return `${shown} ${kindPhrases[kind]}`;
  });
  const order = parts.length > 0 ? ` In the order they will be spent: ${parts.join(", ")}.` : "";
  const aside = held > 0 ? ` Set aside: ${formatCredits(held, { locale })} held.` : "";
  return `${creditsInWords(spendable + held, locale)}.${order}${aside}`;
}
