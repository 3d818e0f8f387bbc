// Changing the plan of a live subscription: what it would cost, doing it, and taking it back while it waits.
import { addMonths, type Interval } from "~/domain/allowance";
import { BillingError } from "~/domain/errors";
import { decidePlanChange } from "~/domain/plan-change";
import { asPlatform } from "../db";
import { expectObject, paymentFailureOf, type Stripe, toDate } from "../stripe";
import { canAwaitPayment } from "../stripe/facts";
import { type Action, act, type Doer } from "./actions";
import { type CataloguePlan, findPlansByStripePrice } from "./catalogue";
import { isOutdated, readChange, signChange, stateText } from "./change-token";
import { type CreditsAtOnce, creditsAtOnce } from "./credits-of-change";
import { whyUnpaid } from "./invoice-payments";
import {
  type Choice,
  fingerprintOf,
  type LiveSubscription,
  pendingInvoiceOf,
  requireCollected,
  requireLive,
  requireRenewing,
  requireRunning,
  requireSettled,
  synchronize,
  update,
} from "./live-subscription";
import { isScheduled, releaseReplaced, releaseSchedule, replaceSchedule, schedulePrice } from "./schedules";

export interface ChangePreview {
  kind: "upgrade" | "downgrade" | "switch";
  effective: "now" | "period_end";
  /** When it takes effect: the instant of the preview, or the end of the period. */
  at: Date;
  /** What is charged at once; nothing for a change that waits, and in a trial. Minor units, tax included. */
  dueNow: Money & { lines: { description: string; amount: number }[] };
  /** What each later invoice asks for, and the first one's instant. */
  recurring: Money & { interval: Interval; from: Date };
  credits: CreditsAtOnce & { perInterval: number; creditInterval: Interval; from: Date };
  /** What is paid is reckoned as of this instant. */
  prorationDate: Date;
  /** For `changePlan`, which charges just this or refuses. Good for half an hour. */
  token: string;
}

interface Money {
  /** Minor units, tax included. */
  amount: number;
  tax: number;
  currency: string;
}

/**
 * What a change of plan would cost and give. Nothing is changed.
 * @throws BillingError NO_SUBSCRIPTION, PLAN_NOT_AVAILABLE, ALREADY_SUBSCRIBED (it is the plan already), WRONG_STATE (cancelled,
 *   paused, or the last payment is on its way), PAYMENT_OVERDUE, STRIPE_UNAVAILABLE
 */
export function previewChange(doer: Doer, choice: Choice): Promise<ChangePreview> {
  return act(doer, async (action) => {
    const live = await requireLive(action);
    const change = await decide(live, choice);
    const prorationDate = Math.floor(action.now.getTime() / 1000);
    const [invoice, recurring] = await Promise.all([
      chargesAtOnce(change) ? previewInvoice(action, change, prorationDate) : null,
      previewRecurring(action, change),
    ]);
    const dueNow = invoice ? dueOf(invoice) : { amount: 0, tax: 0, currency: live.stripe.currency, lines: [] };
    const at = change.effective === "now" ? toDate(prorationDate) : live.currentPeriodEnd;
    const from = firstRenewal(change, at);
    return {
      kind: change.kind,
      effective: change.effective,
      at,
      dueNow,
      recurring: { ...recurring, interval: change.target.interval, from },
      credits: {
        ...(await creditsAtOnce(action, live, invoice)),
        perInterval: change.target.credits,
        creditInterval: change.target.creditInterval,
        from,
      },
      prorationDate: toDate(prorationDate),
      token: signChange({
        subscriptionId: live.stripe.id,
        state: stateText(fingerprintOf(live.stripe)),
        stripePriceId: change.target.stripePriceId,
        prorationDate,
        amount: dueNow.amount,
      }),
    };
  });
}

export type ChangeOutcome =
  | { status: "changed" | "scheduled" }
  /** Nothing has changed: it does once the invoice at this address is paid. */
  | {
      status: "payment_required";
      paymentUrl: string | null;
      /** Why it was not paid, in plain words. */
      message: string;
    };

/**
 * Does what a preview has shown: at once, or from the end of the period on. Doing it again answers the same.
 * @throws BillingError CHANGE_EXPIRED when it would cost something else by now, and as `previewChange`
 */
export function changePlan(doer: Doer, choice: Choice, token: string): Promise<ChangeOutcome> {
  const promised = readChange(token);
  return act(doer, async (action) => {
    const live = await requireLive(action);
    const target = await findTarget(live, choice);
    if (promised.subscriptionId !== live.stripe.id || promised.stripePriceId !== target.stripePriceId) throw expired();
    const done = await outcomeSoFar(action, live, target.stripePriceId);
    if (done) {
      await releaseReplaced(action, live.stripe);
      await synchronize(action, live.stripe.id);
      return done;
    }
    const change = await decide(live, choice);
    if (isOutdated(promised, action.now) || promised.state !== stateText(fingerprintOf(live.stripe))) throw expired();
    if (chargesAtOnce(change)) {
      const invoice = await previewInvoice(action, change, promised.prorationDate);
      if (dueOf(invoice).amount !== promised.amount) throw expired();
    }
    await withdrawPending(action, live.stripe);
    const outcome =
      change.effective === "period_end"
        ? await changeLater(action, change)
        : await changeNow(action, change, promised.prorationDate);
    await action.record({
      name: `change.${outcome.status}`,
      subject: live.stripe.id,
      message: `${live.plan.planName} to ${change.target.planName}: ${outcome.status.replace("_", " ")}.`,
      details: { planId: choice.planId, interval: choice.interval },
    });
    await synchronize(action, live.stripe.id);
    return outcome;
  });
}

/**
 * Takes back a change that has not taken effect: the one that waits for its payment, else the one that is scheduled. Nothing
 * happens where none is.
 * @param which only that one, however often it is asked for; null for whichever there is
 * @throws BillingError NO_SUBSCRIPTION, WRONG_STATE where it was paid in this moment, STRIPE_UNAVAILABLE
 */
export function undoChange(doer: Doer, which: "pending" | "scheduled" | null): Promise<{ status: "undone" }> {
  return act(doer, async (action) => {
    const live = await requireLive(action);
    const withdrawn = which !== "scheduled" && (await withdrawPending(action, live.stripe));
    // What was planned before goes on where what was to take its place does not.
    const released = which !== "pending" && !withdrawn && (await releaseSchedule(action, live.stripe));
    if (withdrawn || released) {
      const message = "A change of plan that had not taken effect was taken back.";
      await action.record({ name: "change.undone", subject: live.stripe.id, message });
    }
    await synchronize(action, live.stripe.id);
    return { status: "undone" };
  });
}

// ── What is to be done ───────────────────────────────────────────────────────────────────────────────────────

type Target = CataloguePlan;

interface Change {
  live: LiveSubscription;
  target: Target;
  kind: ChangePreview["kind"];
  effective: "now" | "period_end";
}

/** @throws BillingError for what is not possible in this state */
async function decide(live: LiveSubscription, choice: Choice): Promise<Change> {
  const target = await findTarget(live, choice);
  requireSettled(live);
  requireRunning(live);
  requireRenewing(live);
  if (target.stripePriceId === live.item.price.id) {
    throw new BillingError("ALREADY_SUBSCRIBED", "This is the plan that the organization has.", {
      planId: choice.planId,
    });
  }
  const { kind, effective } = decidePlanChange({ ...live.plan, trial: live.status === "trial" }, target);
  const change: Change = { live, target, kind: kind === "same" ? "switch" : kind, effective };
  if (chargesAtOnce(change)) requireCollected(live);
  return change;
}

/** The price that is chosen, in the currency of the subscription. @throws BillingError PLAN_NOT_AVAILABLE */
async function findTarget(live: LiveSubscription, { planId, interval }: Choice): Promise<Target> {
  const { currency } = live.stripe;
  const row = await asPlatform((tx) =>
    tx.planPrice.findFirst({
      where: { planId, interval, currency, active: true, plan: { active: true, isPublic: true } },
      select: { stripePriceId: true },
    }),
  );
  const stripePriceId = row?.stripePriceId ?? "";
  const target = (await findPlansByStripePrice([stripePriceId])).get(stripePriceId);
  if (target) return target;
  const message = "This plan is not for sale in this interval and currency.";
  throw new BillingError("PLAN_NOT_AVAILABLE", message, { planId, interval, currency });
}

const isTrial = ({ live }: Change) => live.status === "trial";

function chargesAtOnce(change: Change): boolean {
  return change.effective === "now" && !isTrial(change);
}

/** The end of what is paid when the change has taken effect. */
function firstRenewal(change: Change, at: Date): Date {
  const { live, target, effective } = change;
  if (effective === "period_end") return live.currentPeriodEnd;
  if (isTrial(change)) return live.trialEnd ?? live.currentPeriodEnd;
  // Another interval begins anew; the same one keeps its day.
  return target.interval === live.plan.interval
    ? live.currentPeriodEnd
    : addMonths(at, target.interval === "year" ? 12 : 1);
}

// ── What it costs ────────────────────────────────────────────────────────────────────────────────────────────

function itemsOf({ live, target }: Change): { id: string; price: string }[] {
  return [{ id: live.item.id, price: target.stripePriceId }];
}

function previewInvoice(action: Action, change: Change, prorationDate: number): Promise<Stripe.Invoice> {
  return action.read("invoice", (stripe) =>
    stripe.invoices.createPreview({
      subscription: change.live.stripe.id,
      subscription_details: {
        items: itemsOf(change),
        proration_behavior: "always_invoice",
        proration_date: prorationDate,
      },
    }),
  );
}

function dueOf(invoice: Stripe.Invoice): ChangePreview["dueNow"] {
  const lines = invoice.lines.data.map(({ description, amount }) => ({ description: description ?? "", amount }));
  return { ...moneyOf(invoice, invoice.amount_due), lines };
}

async function previewRecurring(action: Action, change: Change): Promise<Money> {
  const invoice = await action.read("invoice", (stripe) =>
    stripe.invoices.createPreview({
      subscription: change.live.stripe.id,
      preview_mode: "recurring",
      subscription_details: { items: itemsOf(change), proration_behavior: "none" },
    }),
  );
  return moneyOf(invoice, invoice.total);
}

function moneyOf(invoice: Stripe.Invoice, amount: number): Money {
  const tax = (invoice.total_taxes ?? []).reduce((sum, part) => sum + part.amount, 0);
  return { amount, tax, currency: invoice.currency };
}

// ── Doing it ─────────────────────────────────────────────────────────────────────────────────────────────────

/** What a try of before, whose answer was lost, has made of it already. */
async function outcomeSoFar(
  action: Action,
  live: LiveSubscription,
  stripePriceId: string,
): Promise<ChangeOutcome | null> {
  if (live.item.price.id === stripePriceId) return { status: "changed" };
  if (isPendingFor(live.stripe, live.item.id, stripePriceId)) return waitsForPayment(action, live.stripe);
  // One that waits for its payment was chosen later, and gives way.
  const isLast = live.stripe.pending_update === null;
  return isLast && (await isScheduled(action, live, stripePriceId)) ? { status: "scheduled" } : null;
}

async function changeLater(action: Action, change: Change): Promise<ChangeOutcome> {
  await schedulePrice(action, change.live, change.target);
  return { status: "scheduled" };
}

async function changeNow(action: Action, change: Change, prorationDate: number): Promise<ChangeOutcome> {
  const { live, target } = change;
  // A schedule would put its own plan back; where nobody pays, it stays.
  await replaceSchedule(action, live.stripe, target.stripePriceId);
  const params: Stripe.SubscriptionUpdateParams = isTrial(change)
    ? { items: itemsOf(change), proration_behavior: "none" }
    : {
        items: itemsOf(change),
        proration_behavior: "always_invoice",
        proration_date: prorationDate,
        // A bank takes longer than Stripe lets a change wait: then the plan changes now, and its credits come with the money.
        payment_behavior: canAwaitPayment(live.stripe) ? "pending_if_incomplete" : "allow_incomplete",
      };
  const after = await update(action, live.stripe, {
    name: "change",
    params,
    isDone: (state) =>
      state.items.data.some((item) => item.id === live.item.id && item.price.id === target.stripePriceId) ||
      isPendingFor(state, live.item.id, target.stripePriceId),
  }).catch(sayWhatIsMissing);
  if (isPendingFor(after, live.item.id, target.stripePriceId)) return waitsForPayment(action, after);
  await releaseSchedule(action, after);
  return { status: "changed" };
}

function sayWhatIsMissing(error: unknown): never {
  if (paymentFailureOf(error)?.kind !== "no_method") throw error;
  throw new BillingError("WRONG_STATE", "There is no card to pay with. Add one first.", { missing: "payment_method" });
}

function isPendingFor(subscription: Stripe.Subscription, itemId: string, stripePriceId: string): boolean {
  const items = subscription.pending_update?.subscription_items ?? [];
  return items.some((item) => item.id === itemId && item.price.id === stripePriceId);
}

async function waitsForPayment(action: Action, subscription: Stripe.Subscription): Promise<ChangeOutcome> {
  const invoice = pendingInvoiceOf(subscription);
  return {
    status: "payment_required",
    paymentUrl: invoice?.hosted_invoice_url ?? null,
    message: await whyUnpaid(action, invoice?.id ?? null),
  };
}

/** Voids the invoice of a change that waits for its payment, which ends the change. @returns whether there was one */
export async function withdrawPending(action: Action, subscription: Stripe.Subscription): Promise<boolean> {
  const invoice = pendingInvoiceOf(subscription);
  if (!invoice) return false;
  const { id } = invoice;
  const after = await action.bringAbout(invoice, {
    name: "void",
    about: (state) => ({ id, status: state.status }),
    isDone: (state) => state.status !== "open",
    send: async (stripe, options) => expectObject("invoice", await stripe.invoices.voidInvoice(id, {}, options)),
    read: () => action.read("invoice", (stripe) => stripe.invoices.retrieve(id)),
  });
  if (after.status === "paid") {
    await synchronize(action, subscription.id);
    throw new BillingError("WRONG_STATE", "The change has been paid in this moment, and is done.", { invoiceId: id });
  }
  return true;
}

function expired(): BillingError {
  return new BillingError(
    "CHANGE_EXPIRED",
    "The subscription has changed since this was shown. Look at the change again.",
    {},
  );
}
