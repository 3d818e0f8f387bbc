// Many takes in one call: in requests of a size that the server reads, with a result for each item.
import { split } from "./batch";
import type { Contract } from "./contract";
import { BillingClientError, type BillingClientFailure, billingErrorOf } from "./errors";
import type { CallOptions } from "./options";
import type { SpooledConsume } from "./spool";

type ConsumeMany = Contract["credits"]["consumeMany"];

/** What came of one item. */
export type ItemResult<Answer> = ({ ok: true } & Answer) | { ok: false; error: BillingClientFailure };

// What the server takes in one call, and a quarter of what it reads.
const MOST_ITEMS = 500;
const MOST_LENGTH = 256 * 1024;

const NOT_NOW = new Set<string>(["OVERLOADED", "BUSY"]);

/** @returns a function that takes for items in their order. @throws only what is no failure of Billfold's, such as an abort */
export function manyTaking(
  call: (input: ConsumeMany["input"], options?: CallOptions) => Promise<ConsumeMany["output"]>,
) {
  return async (items: SpooledConsume[], options?: CallOptions) => {
    const sized = items.map((item) => ({ item, body: JSON.stringify(item), call: { procedure: "" } }));
    const results: ItemResult<Contract["credits"]["consume"]["output"]>[] = [];
    for (const part of split(sized, MOST_ITEMS, MOST_LENGTH)) {
      try {
        const answers = await call({ items: part.map(({ item }) => item) }, options);
        for (const answer of answers)
          results.push(answer.ok ? answer : { ok: false, error: itemFailure(answer.error) });
      } catch (error) {
        const failure = billingErrorOf(error);
        if (!failure) throw error;
        for (const _ of part) results.push({ ok: false, error: failure });
      }
    }
    return results;
  };
}

function itemFailure({ code, message, details }: { code: string; message: string; details: Record<string, unknown> }) {
  const { retryAfterMs } = details;
  return new BillingClientError(code as BillingClientFailure["code"], message, details as never, {
    retryable: NOT_NOW.has(code),
    retryAfterMs: typeof retryAfterMs === "number" ? retryAfterMs : null,
  }) as BillingClientFailure;
}
