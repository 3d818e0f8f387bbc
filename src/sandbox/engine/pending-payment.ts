// An invoice whose payment is on its way through the banks: neither paid nor failed for some days.
import type { World } from "../world";
import { changeSubscription } from "./subscription-state";

/** The invoice stays open and is not tried again meanwhile; its subscription begins as if it were paid. */
export function awaitPayment(world: World, invoiceId: string): void {
  const invoice = world.invoices.get(invoiceId);
  if (!invoice) throw new Error(`invoice ${invoiceId} is gone`);
  world.scheduler.plan("invoice.retry", invoiceId, null, null);
  world.change(world.invoices, invoiceId, { attempted: true, next_payment_attempt: null }, "invoice.updated");
  const id = invoice.parent?.subscription_details?.subscription;
  const subscription = id ? world.subscriptions.get(id) : undefined;
  if (subscription?.status !== "incomplete") return;
  world.scheduler.plan("subscription.expire", subscription.id, null, null);
  const trialing = subscription.trial_end !== null && subscription.trial_end > world.now();
  changeSubscription(world, subscription.id, { status: trialing ? "trialing" : "active" });
}
