// Checkouts: what was paid in one was granted once, and none of ours is open that Stripe has closed.
import { asPlatform } from "../../db";
import { findAtStripe, idOf, type Stripe } from "../../stripe";
import { syncCheckoutSession } from "../sync";
import type { Context, Stage } from "./context";
import { pagesOf } from "./pace";

// A checkout is open for a day.
const LATE_DAYS = 2;
const BATCH = 100;

export const recentCheckouts: Stage = async function* (context, from) {
  const list = (page: object) => context.stripe.checkout.sessions.list({ ...page, ...context.createdSince(LATE_DAYS) });
  for await (const sessions of pagesOf(context.pace, from, list)) {
    await compareCheckouts(context, sessions);
    yield sessions.at(-1)?.id ?? null;
  }
};

const isPaid = ({ payment_status: status }: Stripe.Checkout.Session) =>
  status === "paid" || status === "no_payment_required";

async function compareCheckouts(context: Context, sessions: readonly Stripe.Checkout.Session[]): Promise<void> {
  const ids = sessions.map(({ id }) => id);
  const { open, granted } = await asPlatform(async (tx) => {
    const ours = await tx.checkoutSession.findMany({
      where: { stripeSessionId: { in: ids }, status: { in: ["open", "processing"] } },
      select: { stripeSessionId: true },
    });
    const lots = await tx.creditGrant.findMany({
      where: { stripeSessionId: { in: ids }, source: "purchase" },
      select: { stripeSessionId: true },
    });
    return {
      open: new Set(ours.map(({ stripeSessionId }) => stripeSessionId)),
      granted: new Set(lots.map(({ stripeSessionId }) => stripeSessionId)),
    };
  });
  for (const session of sessions) {
    const { id, mode, status, customer, metadata, subscription, payment_intent } = session;
    const isPurchase = mode === "payment" && status === "complete" && isPaid(session);
    if (isPurchase) context.paid.add(id);
    // A setup, and a pack that nobody has paid, have nothing to be granted.
    const isSame = isPurchase ? granted.has(id) && !open.has(id) : status === "open" || !open.has(id);
    if (isSame) {
      context.count(1);
      continue;
    }
    const named = metadata?.organizationId ?? null;
    const objectIds = [id, idOf(subscription), idOf(payment_intent)];
    const organizationId = await context.ownerOf(id, { customerId: idOf(customer), organizationId: named, objectIds });
    if (organizationId === null) continue;
    await context.look({ organizationId, kind: "checkout", subject: id }, (run) => syncCheckoutSession(run, id));
  }
}

/** Ours that wait, whatever their age: a delayed payment may take two weeks. */
export async function* ourCheckouts(context: Context, from: string | null): AsyncGenerator<string | null> {
  for (let after = from ?? ""; ; ) {
    const cursor = after;
    const rows = await asPlatform((tx) =>
      tx.checkoutSession.findMany({
        where: { status: { in: ["open", "processing"] }, stripeSessionId: { gt: cursor } },
        select: { organizationId: true, stripeSessionId: true, status: true },
        orderBy: { stripeSessionId: "asc" },
        take: BATCH,
      }),
    );
    for (const { organizationId, stripeSessionId: id, status } of rows) {
      const about = { organizationId, kind: "checkout", subject: id };
      const session = await context.ask(() =>
        findAtStripe("checkout.session", () => context.stripe.checkout.sessions.retrieve(id)),
      );
      const waits = session?.status === "open" ? status === "open" : session === null;
      if (waits) context.count(1);
      else await context.look(about, (run) => syncCheckoutSession(run, id));
    }
    const last = rows.at(-1);
    if (!last || rows.length < BATCH) return;
    after = last.stripeSessionId;
    yield after;
  }
}
