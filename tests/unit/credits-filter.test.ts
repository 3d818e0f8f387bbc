// What the address of the credits page may ask for.
import { describe, expect, it } from "vitest";
import { filterOf, queryOf, readable, searchOf } from "~/app/[org]/billing/credits/filter";

const filter = (address: string) => filterOf(new URLSearchParams(address));

describe("the filter of an address", () => {
  it("has a type that the ledger knows, and what is searched for", () => {
    expect(filter("type=consume&search=ai_inference")).toEqual({ type: "consume", search: "ai_inference" });
    expect(filter("type=nonsense")).toEqual({ type: "", search: "" });
  });

  it("leaves out control characters, which the database does not take", () => {
    expect(filter("search=%00")).toEqual({ type: "", search: "" });
    expect(queryOf(filter("search=%00"))).toEqual({ type: null, search: null });
    expect(filter("search=a%00b%0A%1F%7Fc%C2%85").search).toBe("abc");
    expect(readable("txn_1\u0000")).toBe("txn_1");
  });

  it("keeps what people write, also beyond the Latin letters", () => {
    expect(filter("search=Größe%20%E6%97%A5%20%F0%9F%98%80").search).toBe("Größe 日 😀");
  });

  it("does not cut a character in half where the text is too long", () => {
    expect(searchOf(`${"a".repeat(254)}😀`)).toBe("a".repeat(254));
    expect(searchOf("a".repeat(300))).toHaveLength(255);
  });
});
