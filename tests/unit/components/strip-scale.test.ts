// The notes, the ruler and the sentence of the strip.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { CreditKind } from "~/components/billing/credit-kind";
import { describeStrip, notesOf, rulerLabels, rulerOf, type StripLot } from "~/components/billing/strip-scale";

const lot = (id: string, amount: number, kind: CreditKind = "purchased"): StripLot => ({ id, kind, label: id, amount });

describe("the ruler", () => {
  it("has round steps that fit the total", () => {
    expect(rulerOf(18_000).major).toEqual([5_000, 10_000, 15_000]);
    expect(rulerOf(18_000).minor).toContain(1_000);
    expect(rulerOf(740).major).toEqual([200, 400, 600]);
    expect(rulerOf(0)).toEqual({ minor: [], major: [] });
  });

  it("stays within the total and has few marks, whatever the total", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000_000 }), (total) => {
        const { minor, major } = rulerOf(total);
        expect(major.length).toBeLessThanOrEqual(6);
        expect(minor.length).toBeLessThanOrEqual(30);
        for (const at of [...minor, ...major]) {
          expect(at).toBeGreaterThan(0);
          expect(at).toBeLessThan(total);
          expect(Number.isInteger(at)).toBe(true);
        }
      }),
    );
  });
});

describe("the labels of the ruler", () => {
  /** What stands on a ruler of a width in rem, each with where it begins and ends. */
  function shownAt(width: number, total: number) {
    const { start, marks, end } = rulerLabels(total);
    const long = (text: string) => text.length * 0.47;
    const first = width >= start.fullFrom ? "next to be spent" : start.text;
    const spans = [
      ...(width >= start.from ? [{ text: first, begin: 0, end: long(first) }] : []),
      ...marks
        .filter(({ from }) => width >= from)
        .map(({ at, text }) => {
          const middle = (at / total) * width;
          return { text, begin: middle - long(text) / 2, end: middle + long(text) / 2 };
        }),
      ...(width >= end.from ? [{ text: end.text, begin: width - long(end.text), end: width }] : []),
    ];
    return spans;
  }
  const words = (width: number, total: number) => shownAt(width, total).map(({ text }) => text);

  it("are all there where there is room", () => {
    expect(words(70, 234_560)).toEqual(["next to be spent", "100,000", "200,000", "234,560"]);
  });

  it("leave one after the other where most is held, the total last", () => {
    expect(words(30, 234_560)).toEqual(["next to be spent", "100,000", "234,560"]);
    expect(words(20, 234_560)).toEqual(["next", "100,000", "234,560"]);
    expect(words(8, 234_560)).toEqual(["next", "234,560"]);
    expect(words(4, 234_560)).toEqual(["234,560"]);
    expect(words(2, 234_560)).toEqual([]);
  });

  it("never touch, whatever the total and the room", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000_000 }),
        fc.double({ min: 0, max: 80, noNaN: true }),
        (total, width) => {
          const spans = shownAt(width, total);
          for (const [index, span] of spans.entries()) {
            expect(span.begin).toBeGreaterThanOrEqual(-1e-9);
            expect(span.end).toBeLessThanOrEqual(width + 1e-9);
            const before = spans[index - 1];
            if (before) expect(span.begin - before.end).toBeGreaterThan(0.49);
          }
        },
      ),
    );
  });
});

describe("the notes", () => {
  it("join thin neighbours of one kind and lose nothing", () => {
    const notes = notesOf([lot("a", 10), lot("b", 10), lot("c", 10_000), lot("d", 10, "subscription"), lot("e", 10)]);
    expect(notes.map((note) => note.lots.map((one) => one.id))).toEqual([["a", "b"], ["c"], ["d"], ["e"]]);
  });

  it("keep the order and the sum", () => {
    const lots = fc.array(
      fc.record({
        amount: fc.nat(100_000),
        kind: fc.constantFrom<CreditKind>("purchased", "subscription", "other"),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(lots, (drawn) => {
        const given = drawn.map((one, index) => lot(String(index), one.amount, one.kind));
        const notes = notesOf(given);
        const kept = notes.flatMap((note) => note.lots.map((one) => one.id));
        expect(kept).toEqual(given.filter((one) => one.amount > 0).map((one) => one.id));
        for (const note of notes) expect(note.amount).toBe(note.lots.reduce((sum, one) => sum + one.amount, 0));
      }),
    );
  });
});

describe("the sentence", () => {
  it("says amounts, order and what is held", () => {
    const lots = [lot("a", 2_000), lot("b", 10_000), lot("c", 6_000, "subscription")];
    expect(describeStrip(lots, 240)).toBe(
      "18,240 credits. In the order they will be spent: 2,000 and 10,000 purchased, 6,000 from the subscription. Set aside: 240 held.",
    );
  });

  it("says when there is nothing", () => {
    expect(describeStrip([], 0)).toBe("No credits left.");
  });
});
