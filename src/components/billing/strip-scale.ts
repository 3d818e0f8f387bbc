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

/** Widths in rem: of a sign of the ruler's type, at its widest, and between two labels. */
const SIGN_WIDTH = 0.47;
const LABEL_GAP = 0.5;

export const RULER_START = { short: "next", rest: " to be spent" } as const;

export interface RulerLabel {
  at: number;
  text: string;
  /** The least width of the ruler, in rem, at which it stands clear of all labels that matter more. */
  from: number;
}

export interface RulerLabels {
  start: RulerLabel & { fullFrom: number };
  marks: RulerLabel[];
  end: RulerLabel;
}

/**
 * The labels of a ruler with the room that each needs. The total matters most, then where spending begins, then the marks,
 * then the beginning in full. As labels keep their width while the ruler grows, what is clear once stays clear.
 */
export function rulerLabels(total: number, locale = "en-US"): RulerLabels {
  const { major } = rulerOf(total);
  const placed: { place: number; left: number; right: number }[] = [];
  const widthOf = (text: string) => text.length * SIGN_WIDTH;
  /** @param lean how much of the label lies left of its place, 0 to 1 */
  const put = (at: number, text: string, lean: number): RulerLabel => {
    const place = at / total;
    const width = widthOf(text);
    const mine = { place, left: width * lean, right: width * (1 - lean) };
    const needs = placed.map((other) => {
      const [a, b] = other.place < place ? [other, mine] : [mine, other];
      return (a.right + LABEL_GAP + b.left) / (b.place - a.place);
    });
    placed.push(mine);
    return { at, text, from: Math.max(width, ...needs) };
  };
  const end = put(total, formatCredits(total, { locale }), 1);
  const start = put(0, RULER_START.short, 0);
  // Every second one first: where there is no room for all, those that stay are evenly apart.
  const inTurn = [...major.filter((_, index) => index % 2 === 0), ...major.filter((_, index) => index % 2 === 1)];
  const marks = inTurn.map((at) => put(at, formatCredits(at, { locale }), 0.5)).sort((a, b) => a.at - b.at);
  placed.splice(1, 1);
  const full = put(0, RULER_START.short + RULER_START.rest, 0);
  return { start: { ...start, fullFrom: full.from }, marks, end };
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
