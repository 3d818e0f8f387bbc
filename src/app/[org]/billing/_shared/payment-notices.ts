// What an overdue payment means, in words: what failed, what comes of it and when.
import { formatMoney, formatTime, type Viewer } from "~/components/billing/format";
import type { RouterOutputs } from "~/server/api/root";

type Subscription = NonNullable<RouterOutputs["subscription"]["get"]>;

type Overdue = Pick<Subscription, "planName" | "pastDueSince" | "graceUntil" | "blocked" | "openInvoice">;

/** The banner of a payment that has failed. */
export function overdueWords(subscription: Overdue, viewer: Viewer): { title: string; text: string } {
  const { planName, pastDueSince, graceUntil, blocked, openInvoice } = subscription;
  const day = (at: Date) => formatTime(at, viewer, { style: "longDay" });
  const instant = (at: Date) => `${day(at)}, ${formatTime(at, viewer, { style: "time", zone: true })}`;
  const sum = openInvoice ? ` of ${formatMoney(openInvoice, { locale: viewer.locale })}` : "";
  const failed = `The payment${sum} for ${planName} failed${pastDueSince ? ` on ${day(pastDueSince)}` : ""}.`;
  const next = openInvoice?.nextAttemptAt
    ? `It is tried again on ${day(openInvoice.nextAttemptAt)}.`
    : "It is not tried again by itself.";
  if (blocked && graceUntil) {
    return {
      title: `Spending is stopped since ${instant(graceUntil)}.`,
      text: `${failed} Requests that need credits are refused until it is paid; the credits stay. ${next}`,
    };
  }
  const stop = graceUntil
    ? `Credits can be spent until ${instant(graceUntil)}; then spending stops until it is paid.`
    : "Credits can be spent all the same; if it is never paid, the plan ends.";
  return { title: failed, text: `${next} ${stop}` };
}

/** Alerts that only the platform can do something about. */
const OF_THE_PLATFORM: ReadonlySet<string> = new Set([
  "unknown_customer",
  "customer_mismatch",
  "unknown_price",
  "unknown_status",
  "unexpected_transition",
  "event_dead",
  "grant_without_payment",
  "reconciliation",
]);

export function isForThePlatform(alert: { kind: string }): boolean {
  return OF_THE_PLATFORM.has(alert.kind);
}
