// Usage as the bars and the table of the overview take it, and the words that the usage page shares with it.
import { describe, expect, it } from "vitest";
import { usageView } from "~/app/[org]/billing/_overview/usage-view";
import { earlierInFull } from "~/app/[org]/billing/usage/view";

const now = new Date("2026-03-29T09:30:00Z");
const day = (date: string) => new Date(`${date}T00:00:00Z`);
const event = (eventName: string, credits: number, quantity: number) => ({
  eventName,
  credits,
  quantity,
  previousCredits: 0,
});

const view = (usedByThisTime = { day: day("2026-03-01"), credits: 12 }) =>
  usageView({
    usage: {
      period: { from: day("2026-03-28"), to: now },
      comparedWith: { from: day("2026-03-26"), to: day("2026-03-28") },
      total: 37,
      previousTotal: 0,
      events: [event("whole", 20, 10), event("partly_reversed", 17, 10), event("reversed", 0, 4)],
      days: [{ day: day("2026-03-29"), eventName: "whole", credits: 20, quantity: 10 }],
    },
    recentUse: [
      { day: day("2026-02-27"), credits: 5 },
      { day: day("2026-02-28"), credits: 70 },
      { day: day("2026-03-01"), credits: 90 },
    ],
    usedByThisTime,
    now,
    until: null,
  });

describe("what a day is compared with", () => {
  it("is the whole day four weeks earlier; of today only up to the same time of day", () => {
    expect(view().days.map(({ date, previous }) => [date, previous])).toEqual([
      ["2026-03-28", 70],
      ["2026-03-29", 12],
    ]);
  });

  it("is unknown for today once the day has changed since the page was read", () => {
    expect(view({ day: day("2026-02-28"), credits: 12 }).days.at(-1)?.previous).toBeNull();
  });

  it("is said in the legend where the last bar is still running", () => {
    expect(earlierInFull(28, "day", true)).toBe("Same weekday four weeks earlier, today up to the same time of day");
    expect(earlierInFull(28, "day", false)).toBe("Same weekday four weeks earlier");
    expect(earlierInFull(364, "week", true)).toBe("52 weeks earlier, this week up to the same moment");
  });
});

describe("the cost of one", () => {
  it("is told only where all units cost the same", () => {
    expect(view().rows.map(({ id, unitCost }) => [id, unitCost])).toEqual([
      ["whole", 2],
      ["partly_reversed", null],
      ["reversed", null],
    ]);
  });
});
