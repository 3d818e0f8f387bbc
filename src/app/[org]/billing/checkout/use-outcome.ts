"use client";
// What became of a checkout: asked once at the start, then every two seconds while it is not settled.
import { useCallback, useEffect, useState } from "react";
import type { RouterOutputs } from "~/server/api/root";
import { failureOf, trpc } from "../../../_trpc/react";

export type CheckoutOutcome = RouterOutputs["billing"]["completeCheckout"];

export type Progress =
  | { step: "asking" }
  /** Not settled; `waitedMs` tells how long it has been followed, `following` whether it still is. */
  | { step: "waiting"; outcome: CheckoutOutcome; waitedMs: number; following: boolean }
  | { step: "settled"; outcome: CheckoutOutcome }
  | { step: "unknown" }
  | { step: "error" };

const EVERY_MS = 2_000;
const FOLLOW_MS = 30_000;

/** Settles a checkout and follows it. Asking is safe any number of times: it grants nothing unpaid, and nothing twice. */
export function useOutcome(organizationId: string, sessionId: string): { progress: Progress; again: () => void } {
  const { client } = trpc.useUtils();
  const [round, setRound] = useState(0);
  const [progress, setProgress] = useState<Progress>({ step: "asking" });

  useEffect(() => {
    const abort = new AbortController();
    const startedAt = Date.now();
    // One round for each press of "Try again".
    void round;

    async function follow(): Promise<void> {
      while (!abort.signal.aborted) {
        const next = await ask();
        if (abort.signal.aborted) return;
        setProgress(next);
        if (next.step !== "waiting" || !next.following) return;
        await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
      }
    }

    async function ask(): Promise<Progress> {
      try {
        const outcome = await client.billing.completeCheckout.mutate(
          { organizationId, sessionId },
          { signal: abort.signal },
        );
        if (outcome.status !== "open" && outcome.status !== "processing") return { step: "settled", outcome };
        const waitedMs = Date.now() - startedAt;
        return { step: "waiting", outcome, waitedMs, following: waitedMs < FOLLOW_MS };
      } catch (error) {
        const code = failureOf(error)?.code;
        return { step: code === "NOT_FOUND" || code === "INVALID_INPUT" ? "unknown" : "error" };
      }
    }

    void follow();
    return () => abort.abort();
  }, [client, organizationId, sessionId, round]);

  const again = useCallback(() => {
    setProgress({ step: "asking" });
    setRound((before) => before + 1);
  }, []);
  return { progress, again };
}
