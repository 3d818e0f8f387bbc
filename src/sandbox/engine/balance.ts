// The account's money, movement by movement: what came in, what went back, what a dispute took.
import { newId } from "../ids";
import type { BalanceTransaction } from "../types";
import type { World } from "../world";

/** Stripe's two names of each kind of movement. */
const KINDS = {
  charge: { type: "charge", reporting_category: "charge" },
  refund: { type: "refund", reporting_category: "refund" },
  refund_failure: { type: "refund_failure", reporting_category: "refund_failure" },
  dispute: { type: "adjustment", reporting_category: "dispute" },
  dispute_reversal: { type: "adjustment", reporting_category: "dispute_reversal" },
} as const;

export interface Movement {
  kind: keyof typeof KINDS;
  /** In minor units; negative when money leaves. */
  amount: number;
  currency: string;
  /** The charge, refund or dispute behind it. */
  source: string;
  description: string | null;
  fee?: { amount: number; description: string };
}

/** Writes a movement down. Money is available at once: there are no payouts here. */
export function recordMovement(world: World, given: Movement): BalanceTransaction {
  const { amount, currency, fee } = given;
  return world.balanceTransactions.put({
    id: newId("txn"),
    object: "balance_transaction",
    amount,
    available_on: world.now(),
    balance_type: "payments",
    created: world.now(),
    currency,
    description: given.description,
    exchange_rate: null,
    fee: fee?.amount ?? 0,
    fee_details: fee ? [{ ...fee, application: null, currency, type: "stripe_fee" }] : [],
    net: amount - (fee?.amount ?? 0),
    source: given.source,
    status: "available",
    ...KINDS[given.kind],
  } satisfies BalanceTransaction);
}
