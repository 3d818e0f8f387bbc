// What a service that must go on does when Billfold cannot be reached: the consume is kept on its own disk, and told later.

import { type BillingClientFailure, billingErrorOf } from "./errors";
import type { ItemResult } from "./many";
import type { CallOptions } from "./options";
import { isAway } from "./retry";
import type { FileSpool, Spooled, SpooledConsume, SpoolOptions } from "./spool";

// While nobody answers, a call asks once and briefly: the service's own callers should not wait for what is not there.
const BRIEF: CallOptions = { timeoutMs: 1_000, maxRetries: 0 };

type OrSpooled<Answer> = (Answer & { spooled?: false }) | Spooled;

/**
 * A consume that does not fail for want of an answer. Only UNREACHABLE and OVERLOADED, after all tries, are kept; a refusal
 * is a refusal. What cannot be kept (a full spool, a full disk) fails as it would have.
 */
export function failingOpen<Answer extends object>(
  consume: (input: SpooledConsume, options?: CallOptions) => Promise<Answer>,
  many: (items: SpooledConsume[], options?: CallOptions) => Promise<ItemResult<Answer>[]>,
  options: SpoolOptions,
) {
  // Loaded only here: who fails closed needs no disk.
  const opening: Promise<FileSpool> = import("./spool").then(
    ({ FileSpool }) => new FileSpool(options, (kept) => consume(kept, { maxRetries: 0 })),
  );
  opening.catch(() => {}); // Said where it is used.
  let isGone = false;
  let notBefore = 0;

  async function keep(input: SpooledConsume, failure: BillingClientFailure): Promise<Spooled> {
    try {
      await (await opening).append(input);
    } catch (error) {
      throw Object.assign(failure, { cause: error });
    }
    return { spooled: true, organizationId: input.organizationId, idempotencyKey: input.idempotencyKey };
  }

  let lastFailure: BillingClientFailure | null = null;
  function isBack() {
    if (!isGone) return;
    isGone = false;
    lastFailure = null;
    void opening.then(
      (spool) => spool.wake(),
      () => {},
    );
  }
  function isAwayNow(failure: BillingClientFailure) {
    isGone = true;
    lastFailure = failure;
    notBefore = performance.now() + (failure.retryAfterMs ?? 0);
  }
  /** "Too much at once, come back then": until then there is nothing to ask. */
  const isTooSoon = () => (performance.now() < notBefore ? lastFailure : null);
  const briefly = (callOptions?: CallOptions) => (isGone ? { ...callOptions, ...BRIEF } : callOptions);

  return {
    async consume(input: SpooledConsume, callOptions?: CallOptions): Promise<OrSpooled<Answer>> {
      const known = isTooSoon();
      if (known) return keep(input, known);
      try {
        const answer = await consume(input, briefly(callOptions));
        isBack();
        return answer;
      } catch (error) {
        const failure = billingErrorOf(error);
        if (!failure || !isAway(failure)) throw error;
        isAwayNow(failure);
        return keep(input, failure);
      }
    },
    async consumeMany(items: SpooledConsume[], callOptions?: CallOptions): Promise<ItemResult<OrSpooled<Answer>>[]> {
      const known = isTooSoon();
      const results: ItemResult<Answer>[] = known
        ? items.map(() => ({ ok: false, error: known }))
        : await many(items, briefly(callOptions));
      const away = results.find((result) => !result.ok && isAway(result.error));
      if (away && !away.ok) isAwayNow(away.error);
      else isBack();
      return Promise.all(
        results.map(async (result, index) => {
          const item = items[index];
          if (result.ok || !item || !isAway(result.error)) return result;
          return keep(item, result.error).then(
            (spooled) => ({ ok: true as const, ...spooled }),
            () => result,
          );
        }),
      );
    },
    spool: {
      pendingBytes: async () => (await opening).pendingBytes(),
      drain: async () => (await opening).drain(),
    },
    close: async () => (await opening).close(),
  };
}
