// What the mails of overdue payments and of trials that end say.
import { isBlocked, type Overdue } from "~/domain/dunning";
import { invariant } from "~/domain/errors";
import { moneyInWords } from "~/domain/pricing";
import { composeMail, type Mail } from "../mail";
import type { CardFacts } from "../stripe/facts";
import type { NextInvoice, OpenInvoice } from "./subscription-row";

export interface DunningFacts {
  organizationName: string;
  planName: string;
  overdue: Overdue | null;
  trialEnd: Date | null;
  openInvoice: OpenInvoice | null;
  nextInvoice: NextInvoice | null;
  card: CardFacts | null;
  /** The organization's billing page. */
  url: string;
}

const DAY = new Intl.DateTimeFormat("en", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
const INSTANT = new Intl.DateTimeFormat("en", {
  day: "numeric",
  month: "long",
  year: "numeric",
  hour: "numeric",
  minute: "2-digit",
  hourCycle: "h23",
  timeZone: "UTC",
});

const instant = (at: Date) => `${INSTANT.format(at)} UTC`;

/** What has failed and what comes of it, with its dates; for the alert, too. */
export function overdueSentence(
  facts: { planName: string; overdue: Overdue; openInvoice: OpenInvoice | null },
  now: Date,
): string {
  const { planName, overdue, openInvoice } = facts;
  const { since, graceUntil } = overdue;
  const sum = openInvoice ? ` of ${moneyInWords(openInvoice.amount, openInvoice.currency)}` : "";
  const failed = `The payment${sum} for ${planName} failed on ${DAY.format(since)}.`;
  if (graceUntil === null) return `${failed} Pay the open invoice or update the card.`;
  return isBlocked(overdue, now)
    ? `${failed} No credits can be spent since ${instant(graceUntil)}, until it is paid.`
    : `${failed} Credits can be spent until ${instant(graceUntil)}; pay the open invoice or update the card before.`;
}

function requireOverdue(facts: DunningFacts): DunningFacts & { overdue: Overdue } {
  const { overdue } = facts;
  invariant(overdue, "what is told of a failed payment is overdue");
  return { ...facts, overdue };
}

function cardSentence({ card, openInvoice }: DunningFacts): string[] {
  const next = openInvoice?.nextAttemptAt;
  if (!next) return [];
  const which = card ? `the card that ends in ${card.last4}` : "your card";
  return [`The payment is tried again with ${which} on ${DAY.format(next)}.`];
}

export function paymentFailedMail(given: DunningFacts, to: string): Mail {
  const facts = requireOverdue(given);
  return composeMail({
    to,
    subject: `A payment for ${facts.organizationName} failed`,
    paragraphs: [overdueSentence(facts, facts.overdue.since), ...cardSentence(facts)],
    action: { label: "Pay or update the card", url: facts.url },
  });
}

export function blockTomorrowMail(given: DunningFacts, to: string): Mail {
  const facts = requireOverdue(given);
  return composeMail({
    to,
    subject: `${facts.organizationName} can spend credits for one more day`,
    paragraphs: [overdueSentence(facts, facts.overdue.since), ...cardSentence(facts)],
    action: { label: "Pay or update the card", url: facts.url },
  });
}

export function blockedMail(given: DunningFacts, to: string): Mail {
  const facts = requireOverdue(given);
  return composeMail({
    to,
    subject: `${facts.organizationName} cannot spend credits until a payment is made`,
    paragraphs: [
      overdueSentence(facts, facts.overdue.graceUntil ?? facts.overdue.since),
      "No credits are lost: everything goes on as soon as the invoice is paid.",
    ],
    action: { label: "Pay the open invoice", url: facts.url },
  });
}

export function paymentRecoveredMail({ organizationName, planName, openInvoice, url }: DunningFacts, to: string): Mail {
  const sum = openInvoice && moneyInWords(openInvoice.amount, openInvoice.currency);
  return composeMail({
    to,
    subject: `${organizationName}: the payment has arrived`,
    paragraphs: [
      `The overdue payment for ${planName} has been settled. Credits can be spent as before.`,
      // Stripe goes by the newest invoice alone.
      ...(sum ? [`An older invoice of ${sum} is still open. Its credits are there once it is paid.`] : []),
    ],
    action: { label: "See billing", url },
  });
}

/** That nothing is overdue any more though nobody has paid: Stripe voided the invoice, or gave it up. */
export function paymentWaivedMail({ organizationName, planName, url }: DunningFacts, to: string): Mail {
  return composeMail({
    to,
    subject: `${organizationName}: no payment is overdue any more`,
    paragraphs: [
      `The overdue invoice for ${planName} was withdrawn without a payment. What it was for gives no credits; those that are there can be spent.`,
    ],
    action: { label: "See billing", url },
  });
}

/** That nobody has paid for a subscription that runs, and what can be done; for the alert, too. */
export function failedStartSentence({ planName, nextInvoice }: Pick<DunningFacts, "planName" | "nextInvoice">): string {
  const next = nextInvoice ? ` on ${DAY.format(nextInvoice.at)}` : "";
  return `The first payment for ${planName} failed. The plan goes on and gives no credits until its next invoice is paid${next}; to have them now, cancel it and subscribe again with another way to pay.`;
}

export function firstPaymentFailedMail(facts: DunningFacts, to: string): Mail {
  return composeMail({
    to,
    subject: `The first payment for ${facts.organizationName} failed`,
    paragraphs: [failedStartSentence(facts)],
    action: { label: "See billing", url: facts.url },
  });
}

export function unpaidEndMail({ organizationName, planName, url }: DunningFacts, to: string): Mail {
  return composeMail({
    to,
    subject: `${organizationName}: ${planName} has ended`,
    paragraphs: [
      `${planName} has ended, because its payment failed or was taken back, or there was nothing to pay it with.`,
      "It gives no credits any more. Those that were paid for can be spent until they expire, and so can credits that were bought apart from it.",
    ],
    action: { label: "Choose a plan", url },
  });
}

export function trialEndsMail(facts: DunningFacts, to: string): Mail | null {
  const { organizationName, planName, trialEnd, nextInvoice, card, url } = facts;
  if (trialEnd === null) return null;
  const price = nextInvoice ? ` It then costs ${moneyInWords(nextInvoice.amount, nextInvoice.currency)}.` : "";
  const how = card
    ? `It is charged to the card that ends in ${card.last4}, unless you cancel before.`
    : "There is no card to charge yet: add one to keep the plan.";
  return composeMail({
    to,
    subject: `The trial of ${organizationName} ends on ${DAY.format(trialEnd)}`,
    paragraphs: [`The trial of ${planName} ends on ${instant(trialEnd)}.${price}`, how],
    action: { label: card ? "See billing" : "Add a card", url },
  });
}
