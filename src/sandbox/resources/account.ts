// /v1/account and /v1/balance: there is one account, and its money is what was paid minus what was refunded or disputed.
import type Stripe from "stripe";
import { type Route, route } from "../http/route";
import type { Stored } from "../types";
import type { World } from "../world";

function balances(world: World): Array<{ amount: number; currency: string; source_types: { card: number } }> {
  const sums = new Map<string, number>();
  for (const charge of world.charges.values()) {
    if (charge.status !== "succeeded") continue;
    const net = charge.amount_captured - charge.amount_refunded;
    sums.set(charge.currency, (sums.get(charge.currency) ?? 0) + net);
  }
  for (const dispute of world.disputes.values()) {
    const net = dispute.balance_transactions.reduce((sum, entry) => sum + entry.net, 0);
    sums.set(dispute.currency, (sums.get(dispute.currency) ?? 0) + net);
  }
  if (sums.size === 0) sums.set("usd", 0);
  return [...sums].map(([currency, amount]) => ({ amount, currency, source_types: { card: amount } }));
}

function account(): Stored<Stripe.Account> {
  return {
    id: "acct_1Sandbox00000000",
    object: "account",
    business_type: "company",
    charges_enabled: true,
    country: "US",
    created: 1_700_000_000,
    default_currency: "usd",
    details_submitted: true,
    email: "owner@sandbox.test",
    metadata: {},
    payouts_enabled: true,
    type: "standard",
  } satisfies Stored<Stripe.Account>;
}

export const accounts: Route[] = [
  route("GET", "/v1/account", {}, account),
  route("GET", "/v1/balance", {}, (world) => {
    return {
      object: "balance",
      available: balances(world),
      livemode: false,
      pending: [{ amount: 0, currency: "usd", source_types: { card: 0 } }],
    } satisfies Stored<Stripe.Balance>;
  }),
];
