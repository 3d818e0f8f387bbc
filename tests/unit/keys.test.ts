// Identifiers that sort by time, and fingerprints that see meaning only.
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fingerprint, newId, sha256 } from "~/server/db/keys";

const instant = fc.date({ min: new Date(0), max: new Date("9999-12-31T23:59:59.999Z"), noInvalidDate: true });

describe("an identifier", () => {
  it("is a UUID of version 7 that says when it was made", () => {
    fc.assert(
      fc.property(instant, (at) => {
        const id = newId(at);
        expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
        expect(Number.parseInt(id.replaceAll("-", "").slice(0, 12), 16)).toBe(at.getTime());
      }),
    );
  });

  it("of a later instant sorts later, as text", () => {
    fc.assert(
      fc.property(instant, instant, (a, b) => {
        fc.pre(a.getTime() !== b.getTime());
        expect(newId(a) < newId(b)).toBe(a < b);
      }),
    );
  });

  it("is not made twice in an instant", () => {
    const now = new Date();
    expect(new Set(Array.from({ length: 10_000 }, () => newId(now))).size).toBe(10_000);
  });
});

/** The same value with the keys of every object in another order. */
function reordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reordered);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, field]) => [key, reordered(field)]),
    );
  }
  return value;
}

describe("a fingerprint", () => {
  it("does not depend on the order of keys, at any depth", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(fingerprint(reordered(value))).toBe(fingerprint(value));
      }),
    );
  });

  it("differs where the meaning does", () => {
    // Through JSON, which knows no negative zero.
    const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
    const small = fc.jsonValue({ maxDepth: 1, stringUnit: fc.constantFrom("a", "b") });
    fc.assert(
      fc.property(small, small, (a, b) => {
        expect(fingerprint(a) === fingerprint(b)).toBe(isDeepStrictEqual(plain(a), plain(b)));
      }),
      { numRuns: 1000 },
    );
    const different = [
      { quantity: 1 },
      { quantity: "1" },
      { quantity: 2 },
      { quantity: [1] },
      { quantity: { 0: 1 } },
      { quantity: null },
      { Quantity: 1 },
      {},
      { quantity: true },
      [],
      "{}",
    ];
    expect(new Set(different.map(fingerprint)).size).toBe(different.length);
    expect(fingerprint([1, 2])).not.toBe(fingerprint([2, 1]));
  });

  it("takes a field that is undefined for one that is not there, and an instant for its moment", () => {
    expect(fingerprint({ a: 1, b: undefined })).toBe(fingerprint({ a: 1 }));
    expect(fingerprint({ a: null })).not.toBe(fingerprint({}));
    expect(fingerprint(new Date("2026-03-10T10:00:00+01:00"))).toBe(fingerprint(new Date("2026-03-10T09:00:00Z")));
    expect(fingerprint(new Date(1))).not.toBe(fingerprint(new Date(2)));
  });

  it("is a SHA-256 in hex", () => {
    expect(sha256("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(fingerprint({ b: 1, a: [true, null] })).toBe(sha256('{"a":[true,null],"b":1}'));
  });
});
