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
}

/** The account's settings, or those that the sandbox was started with. */
export function dunningOf(world: World): Dunning {
  const kept = world.settings.get("dunning")?.value as Partial<Dunning> | undefined;
  const { retryDays, afterLastRetry } = world.options;
  return { retryDays, afterLastRetry: afterLastRetry ?? "cancel", ...kept };
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
