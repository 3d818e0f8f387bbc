// Subscriptions: every one that lives at Stripe against our row of it, and every one of ours that Stripe did not tell of.
import { cancelsAt, LIVE_STATUSES, statusFromStripe } from "~/domain/subscription";
import { asPlatform } from "../../db";
import { idOf, type Stripe } from "../../stripe";
import { readSubscription } from "../../stripe/facts";
import { type CataloguePlan, findPlansByStripePrice, planItemOf } from "../catalogue";
import { syncSubscription } from "../sync";
import type { Context, Stage } from "./context";
import { compareInvoices } from "./invoices";
import { pagesOf } from "./pace";

const EXPAND = ["data.latest_invoice", "data.default_payment_method"];

/** All that have not ended, with their latest invoices. */
export const liveSubscriptions: Stage = (context, from) =>
  walk(context, from, (page) => context.stripe.subscriptions.list({ ...page, expand: EXPAND }));

/** Those that began in the window, ended ones too. */
export const recentSubscriptions: Stage = (context, from) =>
  walk(context, from, (page) =>
    context.stripe.subscriptions.list({ ...page, ...context.createdSince(), status: "all", expand: EXPAND }),
  );

async function* walk(
  context: Context,
  from: string | null,
  list: Parameters<typeof pagesOf<Stripe.Subscription>>[2],
): AsyncGenerator<string | null> {
  for await (const subscriptions of pagesOf(context.pace, from, list)) {
    await compareSubscriptions(context, subscriptions);
    const invoices = subscriptions.map(({ latest_invoice }) => latest_invoice);
    await compareInvoices(
      context,
      invoices.filter((invoice) => invoice !== null && typeof invoice === "object"),
    );
    yield subscriptions.at(-1)?.id ?? null;
  }
}

type Row = NonNullable<Awaited<ReturnType<typeof loadRows>>[number]>;

const loadRows = (ids: string[]) =>
  asPlatform((tx) => tx.organizationSubscription.findMany({ where: { stripeSubscriptionId: { in: ids } } }));

async function compareSubscriptions(context: Context, subscriptions: readonly Stripe.Subscription[]): Promise<void> {
  const rows = new Map(
    (await loadRows(subscriptions.map(({ id }) => id))).map((row) => [row.stripeSubscriptionId, row]),
  );
  const prices = subscriptions.flatMap(({ items }) => items.data.map(({ price }) => price.id));
  const plans = await findPlansByStripePrice([...new Set(prices)]);
  for (const subscription of subscriptions) {
    const { id } = subscription;
    context.seen.add(id);
    const row = rows.get(id);
    if (row && isSame(row, subscription, plans)) {
      context.count(1);
      continue;
    }
    const organizationId = row?.organizationId ?? (await ownerOf(context, subscription));
    if (organizationId === null) continue;
    await context.look({ organizationId, kind: "subscription", subject: id }, (run) => syncSubscription(run, id));
  }
}

function ownerOf(context: Context, { id, customer, metadata }: Stripe.Subscription): Promise<string | null> {
  const organizationId = metadata.organizationId ?? null;
  return context.ownerOf(id, { customerId: idOf(customer), organizationId, objectIds: [id] });
}

/** Whether our row says what Stripe says. What looks different is looked at more closely, so a doubt is enough. */
function isSame(row: Row, subscription: Stripe.Subscription, plans: Map<string, CataloguePlan>): boolean {
  const facts = readSubscription(subscription);
  const item = planItemOf(facts.items, plans);
  const plan = item && plans.get(item.stripePriceId);
  if (!item || !plan || row.status !== statusFromStripe(facts)) return false;
  const hasEnded = row.status === "cancelled" || row.status === "expired";
  const schedule = idOf(subscription.schedule);
  const endsAt = hasEnded ? null : cancelsAt({ ...facts, currentPeriodEnd: item.periodEnd });
  const card = row.paymentMethod as { last4?: string } | null;
  return (
    row.stripeStatus === facts.status &&
    row.priceId === plan.priceId &&
    row.stripeItemId === item.id &&
    isAt(row.currentPeriodStart, item.periodStart) &&
    isAt(row.currentPeriodEnd, item.periodEnd) &&
    isAt(row.trialEnd, facts.trialEnd) &&
    isAt(row.endedAt, facts.endedAt) &&
    (row.stripeScheduleId ?? null) === schedule &&
    (schedule !== null || isAt(row.cancelsAt, endsAt)) &&
    (row.pendingChange === null) === !subscription.pending_update &&
    (facts.card === null || card?.last4 === facts.card.last4)
  );
}

const isAt = (a: Date | null, b: Date | null): boolean => (a?.getTime() ?? null) === (b?.getTime() ?? null);

const BATCH = 100;

/** Ours that are live, and that none of the lists above told of: ended there, or gone. */
export async function* ourSubscriptions(context: Context, from: string | null): AsyncGenerator<string | null> {
  for (let after = from ?? ""; ; ) {
    const cursor = after;
    const rows = await asPlatform((tx) =>
      tx.organizationSubscription.findMany({
        where: { status: { in: ["pending", ...LIVE_STATUSES] }, stripeSubscriptionId: { gt: cursor } },
        select: { organizationId: true, stripeSubscriptionId: true },
        orderBy: { stripeSubscriptionId: "asc" },
        take: BATCH,
      }),
    );
    for (const { organizationId, stripeSubscriptionId: id } of rows) {
      if (context.seen.has(id)) continue;
      await context.look({ organizationId, kind: "subscription", subject: id }, (run) => syncSubscription(run, id));
    }
    const last = rows.at(-1);
    if (!last || rows.length < BATCH) return;
    after = last.stripeSubscriptionId;
    yield after;
  }
}
