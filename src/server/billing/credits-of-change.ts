// What a change of plan would give and take back in credits, by the rule that is followed when its invoice is paid.
import type { CreditsOfChange } from "~/domain/plan-change";
import type { Stripe } from "../stripe";
import { readSubscription } from "../stripe/facts";
import { readInvoice } from "../stripe/invoice-facts";
import type { Action } from "./actions";
import { previewCredits } from "./allowance-changes";
import { findPlansByStripePrice } from "./catalogue";
import type { LiveSubscription } from "./live-subscription";

export interface CreditsAtOnce {
  /** Usable as soon as it is paid. */
  now: number;
  /** Of the plan of before: what its price that is given back had paid for. */
  takenBack: number;
  /** Part of that which is spent already: the next credits pay it. */
  owed: number;
}

const NOTHING: CreditsOfChange = { gives: 0, later: 0, takesBack: 0, owes: 0 };

/** @param invoice as it would be made; null for a change that charges nothing at once, which moves no credits at once either */
export async function creditsAtOnce(
  action: Action,
  live: LiveSubscription,
  invoice: Stripe.Invoice | null,
): Promise<CreditsAtOnce> {
  const { gives, takesBack, owes } = invoice ? await reckon(action, live, invoice) : NOTHING;
  return { now: gives, takenBack: takesBack, owed: owes };
}

async function reckon(action: Action, live: LiveSubscription, invoice: Stripe.Invoice): Promise<CreditsOfChange> {
  const { lines } = await readInvoice(action.stripe, invoice);
  const plans = await findPlansByStripePrice(lines.map((line) => line.stripePriceId).filter((id) => id !== null));
  return previewCredits(action.organizationId, readSubscription(live.stripe), live.item.id, lines, plans);
}
