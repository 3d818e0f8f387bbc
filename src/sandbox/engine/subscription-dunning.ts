// What happens to a subscription whose payments fail: when they are tried again, and what comes after the last time.
import type { Subscription } from "../types";
import type { World } from "../world";

/** What becomes of a subscription after its last retry; on Stripe a setting of the account. */
export type AfterLastRetry = "cancel" | "unpaid" | "past_due";
export const AFTER_LAST_RETRY: readonly AfterLastRetry[] = ["cancel", "unpaid", "past_due"];

export interface Dunning {
  /** Days after a failed attempt until the next one. */
  retryDays: number[];
  afterLastRetry: AfterLastRetry;
  /** Whether a chargeback of one of its payments ends a subscription. */
  cancelDisputed: boolean;
}

/** The account's settings, or those that the sandbox was started with. */
export function dunningOf(world: World): Dunning {
  const kept = world.settings.get("dunning")?.value as Partial<Dunning> | undefined;
  const { retryDays, afterLastRetry } = world.options;
  return { retryDays, afterLastRetry: afterLastRetry ?? "cancel", cancelDisputed: false, ...kept };
}

/** Reads settings that somebody gave; a sentence says what is wrong with them. */
export function readDunning(given: Record<string, unknown>): Partial<Dunning> | string {
  const { retryDays, afterLastRetry, cancelDisputed, ...others } = given;
  const unknown = Object.keys(others)[0];
  if (unknown !== undefined) return `There is no setting \`${unknown}\`.`;
  const days = Array.isArray(retryDays) && retryDays.every((day) => typeof day === "number" && day > 0 && day <= 60);
  if (retryDays !== undefined && !days) return "`retryDays` must be a list of days, each above 0 and at most 60";
  const after = AFTER_LAST_RETRY.find((word) => word === afterLastRetry);
  if (afterLastRetry !== undefined && !after) return `\`afterLastRetry\` must be one of ${AFTER_LAST_RETRY.join(", ")}`;
  if (cancelDisputed !== undefined && typeof cancelDisputed !== "boolean")
    return "`cancelDisputed` must be true or false";
  return {
    ...(days && { retryDays: retryDays as number[] }),
    ...(after && { afterLastRetry: after }),
    ...(cancelDisputed !== undefined && { cancelDisputed }),
  };
}

export function setDunning(world: World, changes: Partial<Dunning>): Dunning {
  const value = { ...dunningOf(world), ...changes };
  world.settings.put({ id: "dunning", value });
  return value;
}

/** Whether renewals are collected. Those of an unpaid subscription stay drafts until somebody pays. */
export function isCollected(subscription: Subscription): boolean {
  return subscription.status !== "unpaid" && subscription.pause_collection?.behavior !== "keep_as_draft";
}
