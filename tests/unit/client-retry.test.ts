// When the client tries again: laws of the waits, and what may be repeated.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { delayMs, isRepeatable, retryAfterHeaderMs } from "~/client/retry";

const NOW = Date.parse("2026-03-01T00:00:00Z");

describe("the wait before another try", () => {
  it("is never shorter than the server asked for, and jitters over the whole of a ceiling that doubles up to 5 s", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.option(fc.integer({ min: 0, max: 60_000 })),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (attempt, retryAfterMs, random) => {
          const delay = delayMs(attempt, retryAfterMs, random);
          const ceiling = Math.min(100 * 2 ** (attempt - 1), 5_000);
          expect(delay).toBeGreaterThanOrEqual(retryAfterMs ?? 0);
          expect(delay).toBeLessThanOrEqual((retryAfterMs ?? 0) + ceiling);
          expect(delayMs(attempt, retryAfterMs, 0)).toBe(retryAfterMs ?? 0);
          expect(delayMs(attempt, retryAfterMs, 1)).toBe((retryAfterMs ?? 0) + ceiling);
        },
      ),
    );
  });
});

describe("a call", () => {
  it("may be repeated where it only asks, or where a key makes its copies one", () => {
    expect(isRepeatable("query", "p", undefined)).toBe(true);
    expect(isRepeatable("mutation", "p", { idempotencyKey: "k" })).toBe(true);
    expect(isRepeatable("mutation", "p", { name: "Acme" })).toBe(false);
    expect(isRepeatable("mutation", "p", undefined)).toBe(false);
    expect(isRepeatable("mutation", "p", { items: [{ idempotencyKey: "a" }, { idempotencyKey: "b" }] })).toBe(true);
    expect(isRepeatable("mutation", "p", { items: [{ idempotencyKey: "a" }, {}] })).toBe(false);
    expect(isRepeatable("mutation", "credits.releaseHold", { holdId: "h" })).toBe(true);
  });
});

describe("Retry-After", () => {
  it.each([
    [null, null],
    ["0", 0],
    ["3", 3000],
    ["1.5", 1500],
    ["-4", 0],
    ["Sun, 01 Mar 2026 00:00:07 GMT", 7000],
    ["Sun, 01 Mar 2020 00:00:00 GMT", 0],
    ["soon", null],
    ["", null],
  ])("of %j is %j ms", (header, expected) => {
    expect(retryAfterHeaderMs(header, NOW)).toBe(expected);
  });
});
