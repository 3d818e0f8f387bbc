// What a service that must go on does when Billfold cannot be reached: the consume is kept on its own disk, and told later.

import { type BillingClientFailure, billingErrorOf } from "./errors";
import type { CallOptions } from "./options";
import { isAway } from "./retry";
import type { FileSpool, Spooled, SpooledConsume, SpoolOptions } from "./spool";

// While nobody answers, a call asks once and briefly: the service's own callers should not wait for what is not there.
const BRIEF: CallOptions = { timeoutMs: 1_000, maxRetries: 0 };

/**
 * A consume that does not fail for want of an answer. Only UNREACHABLE and OVERLOADED, after all tries, are kept; a refusal
 * is a refusal. What cannot be kept (a full spool, a full disk) fails as it would have.
 */
export function failingOpen<Answer extends object>(
  consume: (input: SpooledConsume, options?: CallOptions) => Promise<Answer>,
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
  return {
    async consume(input: SpooledConsume, callOptions?: CallOptions): Promise<(Answer & { spooled?: false }) | Spooled> {
      // "Too much at once, come back then": until then there is nothing to ask.
      if (lastFailure && performance.now() < notBefore) return keep(input, lastFailure);
      try {
        const answer = await consume(input, isGone ? { ...callOptions, ...BRIEF } : callOptions);
        if (isGone) {
          isGone = false;
          lastFailure = null;
          void opening.then((spool) => spool.wake());
        }
        return answer;
      } catch (error) {
        const failure = billingErrorOf(error);
        if (!failure || !isAway(failure)) throw error;
        isGone = true;
        lastFailure = failure;
        notBefore = performance.now() + (failure.retryAfterMs ?? 0);
        return keep(input, failure);
      }
    },
    spool: {
      pendingBytes: async () => (await opening).pendingBytes(),
      drain: async () => (await opening).drain(),
    },
    close: async () => (await opening).close(),
  };
}
