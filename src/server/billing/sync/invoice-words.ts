// What an invoice is for, in the words of its line of history.
import type { InvoiceFacts, InvoiceLineFacts } from "../../stripe/invoice-facts";
import type { CataloguePlan } from "../catalogue";

type Plans = ReadonlyMap<string, CataloguePlan>;

/**
 * "Pro, monthly" for a period, "Pro, upgrade from Starter" for the prorations of a change, "Pro, credit for unused time" where
 * only something is given back, and for everything else what its first line says.
 */
export function describeInvoice(invoice: Pick<InvoiceFacts, "lines">, plans: Plans): string {
  const ofPlans = invoice.lines.flatMap((line) => {
    const plan = plans.get(line.stripePriceId ?? "");
    return plan ? [{ line, plan }] : [];
  });
  const whole = ofPlans.find(({ line }) => !line.proration);
  const changed = describeChange(ofPlans, whole?.plan ?? null);
  if (changed) return changed;
  if (whole) return `${whole.plan.planName}, ${every(whole.plan)}`;
  const [first, ...more] = invoice.lines;
  if (!first?.description) return "Invoice";
  return more.length === 0 ? first.description : `${first.description} and ${more.length} more`;
}

interface PlanLine {
  line: InvoiceLineFacts;
  plan: CataloguePlan;
}

/** What the prorations say; null where there are none, or where they only stand beside a period of the same price. */
function describeChange(lines: readonly PlanLine[], whole: CataloguePlan | null): string | null {
  const given = lines.filter(({ line }) => line.proration && line.givesBack);
  const asked = lines.filter(({ line }) => line.proration && !line.givesBack);
  const from = given[0]?.plan ?? null;
  const to = whole ?? asked.at(-1)?.plan ?? null;
  if (!from && !asked.length) return null;
  if (!to) return from && `${from.planName}, credit for unused time`;
  if (!from || from.stripePriceId === to.stripePriceId) return whole ? null : `${to.planName}, change of quantity`;
  if (from.planId === to.planId) return `${to.planName}, change from ${every(from)} to ${every(to)}`;
  // The same time is given back at one price and asked for at the other; a new period is asked for as a whole.
  const sum = (all: readonly PlanLine[]) => all.reduce((total, { line }) => total + Math.abs(line.amount), 0);
  const isUpgrade = whole ? to.credits > from.credits : sum(asked) > sum(given);
  return `${to.planName}, ${isUpgrade ? "upgrade" : "change"} from ${from.planName}`;
}

const every = (plan: CataloguePlan): string => (plan.interval === "year" ? "yearly" : "monthly");
