"use client";
// What needs somebody on the overview: what, by when, and what to do about it.
import Link from "next/link";
import { useRouter } from "next/navigation";
import { creditsInWords, daysUntil, formatMoney, formatTime } from "~/components/billing/format";
import { useViewer } from "~/components/billing/viewer";
import { Attention, type AttentionItem } from "~/components/ui/attention";
import { TextButton } from "~/components/ui/link-button";
import { toastDone } from "~/components/ui/toast";
import type { RouterOutputs } from "~/server/api/root";
import { sayFailure } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";
import { type PortalFlow, usePortal } from "../../_shell/use-portal";
import { cardEnds, cardInWords, lastDayOf } from "../_shared/card";
import { creditNotices, isSaidByNotices } from "../_shared/credit-notices";
import type { OrganizationView } from "../_shared/organization-view";
import { isForThePlatform, overdueWords } from "../_shared/payment-notices";
import { PaymentProblemText } from "../_shared/payment-problem";
import type { Outlook } from "../_shared/runway";
import { type PayInvoice, usePayInvoice } from "../_shared/use-pay-invoice";
import { useSubscriptionActions } from "../_shared/use-subscription";

type Summary = RouterOutputs["billing"]["summary"];

/** Expiries and ends further away than this are no news yet. */
const SOON_DAYS = 14;
/** What would run out unspent is worth a line from this share of all credits on. */
const LAPSE_SHARE = 0.05;

export interface OverviewAttentionProps {
  organization: OrganizationView;
  summary: Summary;
  outlook: Outlook;
}

export function OverviewAttention({ organization, summary, outlook }: OverviewAttentionProps) {
  const viewer = useViewer();
  const router = useRouter();
  const portal = usePortal(organization.id);
  const order = trpc.organizations.update.useMutation({
    onSuccess: () => {
      toastDone("Expiring credits are spent first from now on");
      router.refresh();
    },
    onError: (error) => sayFailure(error, "The order could not be changed"),
  });

  const payment = usePayInvoice(organization.id);
  const actions = useSubscriptionActions();
  const { subscription, balance, alerts, asOf: now } = summary;
  const { locale } = viewer;
  const day = (at: Date) => formatTime(at, viewer, { style: "longDay" });
  const toPortal = (words: string, flow: PortalFlow) =>
    organization.mayManage ? (
      <TextButton onClick={() => portal.openTo(flow)} disabled={portal.opening}>
        {portal.opening ? "Opening…" : words}
      </TextButton>
    ) : undefined;
  const toPacks = organization.mayManage ? (
    <Link href={`/${organization.slug}/billing/credits#packs`}>Buy credits</Link>
  ) : undefined;

  const notices = creditNotices(summary, viewer);
  const items: AttentionItem[] = notices.map(({ buy, ...notice }) => ({
    ...notice,
    action: buy ? toPacks : undefined,
  }));
  if (subscription) items.push(...subscriptionItems(subscription));
  items.push(...creditItems());
  for (const alert of alerts) {
    const failed = alert.kind === "payment_failed";
    // Said already, with more words.
    if ((failed && subscription?.status === "past_due") || isSaidByNotices(alert) || isForThePlatform(alert)) continue;
    items.push({
      id: alert.id,
      level: failed ? "danger" : "warn",
      title: alert.message,
      text: `Since ${day(alert.createdAt)}.`,
      action: failed ? toPortal("Update card", "update_card") : undefined,
    });
  }
  return <Attention items={items} />;

  function subscriptionItems(current: NonNullable<Summary["subscription"]>): AttentionItem[] {
    const found: AttentionItem[] = [];
    const { planName, status, card, cancelsAt, trialEnd, nextInvoice, openInvoice, pendingChange } = current;
    if (status === "past_due") {
      found.push({
        id: "past-due",
        level: "danger",
        ...overdueWords(current, viewer),
        action: organization.mayManage ? (
          <span className="flex flex-wrap gap-x-4">
            {openInvoice ? <PayNow payment={payment} invoiceId={openInvoice.id} /> : null}
            {toPortal("Update card", "update_card")}
          </span>
        ) : undefined,
        more: payment.problem ? <PaymentProblemText problem={payment.problem} /> : undefined,
      });
    }
    if (pendingChange) {
      const { invoiceId } = pendingChange;
      const sum = openInvoice ? ` ${formatMoney(openInvoice, { locale })}` : "";
      found.push({
        id: "pending-change",
        level: "warn",
        title: `The change to ${pendingChange.planName} waits for its payment.`,
        text: `It takes effect once its invoice${sum ? ` of${sum}` : ""} is paid, until ${day(pendingChange.expiresAt)} at the latest; until then ${planName} goes on.`,
        action: organization.mayManage && invoiceId ? <PayNow payment={payment} invoiceId={invoiceId} /> : undefined,
        more: payment.problem ? <PaymentProblemText problem={payment.problem} /> : undefined,
      });
    }
    if (status === "pending") {
      found.push({
        id: "pending",
        level: "warn",
        title: `${planName} waits for its first payment.`,
        text: "It starts, and its credits come, as soon as the payment went through.",
        action: organization.mayManage && openInvoice?.url ? <a href={openInvoice.url}>Complete payment</a> : undefined,
      });
    }
    const live = status === "active" || status === "trial" || status === "past_due" || status === "paused";
    if (live && cancelsAt) {
      found.push({
        id: "cancels",
        level: "warn",
        title: `${planName} ends on ${day(cancelsAt)}.`,
        text: "Its credits expire then; purchased credits stay.",
        action: organization.mayManage ? (
          <TextButton
            disabled={actions.undoCancel.isPending}
            onClick={() =>
              actions.undoCancel.mutate(
                { organizationId: organization.id },
                {
                  onSuccess: () => toastDone(`${planName} goes on`),
                  onError: (error) => sayFailure(error, "The cancellation could not be taken back"),
                },
              )
            }
          >
            Keep {planName}
          </TextButton>
        ) : undefined,
      });
    } else if (status === "trial" && trialEnd && daysUntil(trialEnd, now, viewer) <= SOON_DAYS) {
      const price = nextInvoice ?? { amount: current.unitAmount, currency: current.currency };
      found.push({
        id: "trial",
        level: "warn",
        title: `Your trial of ${planName} ends on ${day(trialEnd)}.`,
        text: card
          ? `Then ${formatMoney(price, { locale })} a ${current.interval} from ${cardInWords(card)}.`
          : "Add a card before then to keep the plan.",
        action: card ? undefined : toPortal("Add a card", "update_card"),
      });
    }
    const charged = nextInvoice?.at ?? current.currentPeriodEnd;
    if (live && !cancelsAt && card && cardEnds(card) <= charged) {
      const over = cardEnds(card) <= now;
      const last = formatTime(lastDayOf(card), { locale, timeZone: "UTC" }, { style: "longDay" });
      found.push({
        id: "card",
        level: over ? "danger" : "warn",
        title: over ? `${cardInWords(card)} has expired.` : `${cardInWords(card)} expires on ${last},`,
        text: over
          ? `The next charge is on ${day(charged)}.`
          : last === day(charged)
            ? "the day of the next charge."
            : `before the next charge on ${day(charged)}.`,
        action: toPortal("Update card", "update_card"),
      });
    }
    return found;
  }

  function creditItems(): AttentionItem[] {
    const found: AttentionItem[] = [];
    const used = summary.usage.total + summary.usage.previousTotal > 0;
    const said = summary.suspension !== null || balance.debt > 0;
    if (!said && balance.available === 0 && (used || subscription)) {
      found.push({
        id: "empty",
        level: "danger",
        title: "No credits left.",
        text: "Requests that need credits are refused until new ones come.",
        action: toPacks,
      });
    } else if (!said && outlook.runway?.until && daysUntil(outlook.runway.until, now, viewer) <= 7) {
      found.push({
        id: "low",
        level: "warn",
        title: `Credits last until about ${day(outlook.runway.until)}.`,
        text: "Requests that need credits are refused when they are used up.",
        action: toPacks,
      });
    }
    const lapse = outlook.lapses[0];
    // With some use and no pace yet, nobody knows how much will be left.
    const known = outlook.pace !== null || !used;
    const soon = known && lapse && daysUntil(lapse.at, now, viewer) <= SOON_DAYS;
    if (lapse && soon && lapse.amount >= balance.available * LAPSE_SHARE) {
      const expiring = summary.lots.filter((lot) => lot.expiresAt?.getTime() === lapse.at.getTime());
      const whole = expiring.reduce((sum, lot) => sum + lot.remaining, 0);
      const subscriptions = expiring.every((lot) => lot.source === "subscription");
      const amount = creditsInWords(lapse.amount, locale);
      const counted = subscriptions ? amount.replace(/ (credits?)$/, " subscription $1") : amount;
      const permanentFirst = organization.burnOrder === "purchased_first" && summary.lots.some((lot) => !lot.expiresAt);
      const until = outlook.runway?.permanentUntil;
      found.push({
        id: "lapse",
        level: "warn",
        title: `${lapse.amount < whole ? "About " : ""}${counted} expire on ${day(lapse.at)}, unspent.`,
        text: permanentFirst
          ? `Credits that never expire go first${until ? ` and last until about ${day(until)}` : ""}.`
          : outlook.pace
            ? `At ${creditsInWords(Math.round(outlook.pace.perDay), locale)} a day they will not all be used.`
            : undefined,
        action:
          permanentFirst && organization.mayConfigure ? (
            <TextButton
              disabled={order.isPending}
              onClick={() => order.mutate({ organizationId: organization.id, burnOrder: "expiring_first" })}
            >
              Spend expiring first
            </TextButton>
          ) : undefined,
      });
    }
    return found;
  }
}

function PayNow({ payment, invoiceId }: { payment: PayInvoice; invoiceId: string }) {
  const paying = payment.payingId !== null;
  return (
    <TextButton
      aria-disabled={paying || undefined}
      aria-busy={paying || undefined}
      onClick={() => {
        if (!paying) payment.pay(invoiceId);
      }}
    >
      {paying ? "Paying…" : "Pay now"}
    </TextButton>
  );
}
