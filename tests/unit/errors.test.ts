// The one table of failures: each has a code over HTTP, and says nothing that is not for callers.
import { TRPCError } from "@trpc/server";
import { getHTTPStatusCodeFromError } from "@trpc/server/http";
import { TRPC_ERROR_CODES_BY_KEY } from "@trpc/server/rpc";
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { BILLING_ERROR_CODES, BillingError, InvariantError, invariant } from "~/domain/errors";
import { failureOf, TRANSPORT_CODES, tooLarge, toTRPCError } from "~/server/api/errors";

const wrapped = (cause: Error) => new TRPCError({ code: "INTERNAL_SERVER_ERROR", cause });

describe("each expected failure", () => {
  it.each(BILLING_ERROR_CODES)("%s has a code that tRPC knows, and no other code has a place in the table", (code) => {
    expect(Object.keys(TRPC_ERROR_CODES_BY_KEY)).toContain(TRANSPORT_CODES[code]);
    expect(Object.keys(TRANSPORT_CODES).sort()).toEqual([...BILLING_ERROR_CODES].sort());
  });

  it.each([
    ["INSUFFICIENT_CREDITS", 402],
    ["IDEMPOTENCY_CONFLICT", 409],
    ["ALREADY_SUBSCRIBED", 409],
    ["STRIPE_UNAVAILABLE", 503],
    ["BUSY", 503],
    ["UNAUTHENTICATED", 401],
    ["FORBIDDEN", 403],
    ["NOT_FOUND", 404],
    ["UNKNOWN_EVENT", 404],
    ["INVALID_INPUT", 400],
    ["PAYLOAD_TOO_LARGE", 413],
    ["INTERNAL", 500],
  ] as const)("%s is %i over HTTP", (code, status) => {
    const error = toTRPCError(wrapped(new BillingError(code, "x")), "credits.consume");
    expect(getHTTPStatusCodeFromError(error)).toBe(status);
  });

  it("carries its code, its details and its sentence", () => {
    const error = new BillingError("INSUFFICIENT_CREDITS", "This needs 5 credits.", { required: 5, available: 1 });
    const told = failureOf(toTRPCError(wrapped(error), "credits.consume"));
    expect(told).toEqual({
      failure: { code: "INSUFFICIENT_CREDITS", details: { required: 5, available: 1 } },
      message: "This needs 5 credits.",
    });
  });
});

describe("a failure of ours", () => {
  it("tells a caller nothing of itself", () => {
    for (const cause of [
      new Error("select * from users where password = 'x'"),
      new InvariantError("every lot is a lot"),
      new TypeError("cannot read properties of undefined"),
    ]) {
      const told = JSON.stringify(failureOf(wrapped(cause)));
      expect(told).toBe('{"failure":{"code":"INTERNAL","details":{}},"message":"Something went wrong on our side."}');
    }
  });
});

describe("an input that is wrong", () => {
  it("is told by its fields", () => {
    const parsed = z.object({ quantity: z.int() }).safeParse({ quantity: "many" });
    const told = failureOf(new TRPCError({ code: "BAD_REQUEST", cause: parsed.error as Error }));
    expect(told.failure).toMatchObject({ code: "INVALID_INPUT", details: { issues: [{ path: "quantity" }] } });
  });

  it("of unreadable JSON does not repeat the parser's words", () => {
    const told = failureOf(new TRPCError({ code: "PARSE_ERROR", cause: new SyntaxError("secret at position 5") }));
    expect(told).toEqual({
      failure: { code: "INVALID_INPUT", details: {} },
      message: "The request could not be read.",
    });
  });

  it("that is too large is told in the form of every other failure", async () => {
    const answer = tooLarge();
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({
      error: { json: { data: { httpStatus: 413, billing: { code: "PAYLOAD_TOO_LARGE", details: {} } } } },
    });
  });
});

describe("an invariant", () => {
  it("passes what holds and throws what does not, as a mistake of ours", () => {
    expect(() => invariant(1, "x")).not.toThrow();
    for (const wrong of [false, 0, null, undefined, ""])
      expect(() => invariant(wrong, "broken")).toThrow(InvariantError);
  });
});

describe("a failure from another copy of the module", () => {
  it("is a failure all the same, and nothing else is", async () => {
    vi.resetModules();
    const other = await import("~/domain/errors");
    expect(other.BillingError).not.toBe(BillingError);
    expect(new other.BillingError("BUSY", "Later.") instanceof BillingError).toBe(true);
    for (const value of [new Error("x"), { code: "BUSY", name: "BillingError" }, null, "BUSY"]) {
      expect(value instanceof BillingError).toBe(false);
    }
  });
});
