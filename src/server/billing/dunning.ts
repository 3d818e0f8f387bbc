// What follows from a payment that is overdue: the block of the account, the alert, and the mails; and word of a trial's end.
import {
  isTrialEnding,
  noticeAt,
  type Overdue,
  overdueOf,
  PAYMENT_NOTICES,
  type PaymentNotice,
} from "~/domain/dunning";
import { LIVE_STATUSES } from "~/domain/subscription";
import { asPlatform, type Transaction } from "../db";
import { enqueue } from "../db/enqueue";
import { publicUrl } from "../env";
import { log } from "../log";
import type { Mail } from "../mail";
import type { CardFacts } from "../stripe/facts";
import { raiseAlert, resolveAlerts } from "./alerts";
import {
  blockedMail,
  blockTomorrowMail,
  type DunningFacts,
  failedStartSentence,
  firstPaymentFailedMail,
  overdueSentence,
  paymentFailedMail,
  paymentRecoveredMail,
  paymentWaivedMail,
  trialEndsMail,
  unpaidEndMail,
} from "./dunning-mails";
import { type NextInvoice, type OpenInvoice, readNextInvoice, readOpenInvoice } from "./subscription-row";

/** What is told once nothing is overdue any more: whether it was paid, or is not asked for. */
const ENDS = ["payment_recovered", "payment_waived"] as const;
type NoticeKind = PaymentNotice | (typeof ENDS)[number] | "trial_ends" | "first_payment_failed" | "unpaid_end";

/** The subscription that the organization lives by, as its row says it. */
interface Standing {
  stripeSubscriptionId: string;
  planName: string;
  overdue: Overdue | null;
  isTrialEnding: boolean;
  trialEnd: Date | null;
  openInvoice: OpenInvoice | null;
  nextInvoice: NextInvoice | null;
  card: CardFacts | null;
}

const LIVE = { status: { in: [...LIVE_STATUSES] } };

/**
 * Makes the block of an organization's account, the alert of its overdue payment and what its people were told agree with its
 * subscription's row. For whoever has just saved that row, in the same transaction; again and again it changes nothing.
 * @param isWaived where nothing is overdue any more: that it was not paid
 */
export async function settleDunning(
  tx: Transaction,
  organizationId: string,
  now: Date,
  isWaived = false,
): Promise<void> {
  const standing = await readStanding(tx, organizationId, LIVE, now);
  const overdue = standing?.overdue ?? null;
  const blockedFrom = overdue?.graceUntil ?? null;
  // The ledger reads it with the account, and a process that remembers the account hears of it by its version.
  await tx.$executeRaw`
    UPDATE credit_accounts SET blocked_from = ${blockedFrom}::timestamptz
    WHERE organization_id = ${organizationId}::uuid AND blocked_from IS DISTINCT FROM ${blockedFrom}::timestamptz`;
  await settleAlert(tx, organizationId, standing, now);
  await tellPeople(tx, organizationId, standing, isWaived ? "payment_waived" : "payment_recovered", now);
}

async function readStanding(
  tx: Transaction,
  organizationId: string,
  which: typeof LIVE | { stripeSubscriptionId: string },
  now: Date,
): Promise<Standing | null> {
  // Locked, so that what follows from it is not written after what follows from a newer one.
  await tx.$queryRaw`
    SELECT 1 FROM organization_subscriptions WHERE organization_id = ${organizationId}::uuid ORDER BY id FOR UPDATE`;
  const row = await tx.organizationSubscription.findFirst({ where: { organizationId, ...which } });
  if (!row) return null;
  const plan = await tx.subscriptionPlan.findUniqueOrThrow({ where: { id: row.planId } });
  return {
    stripeSubscriptionId: row.stripeSubscriptionId,
    planName: plan.name,
    overdue: overdueOf({ status: row.status, pastDueSince: row.pastDueSince, graceDays: plan.graceDays }),
    isTrialEnding: isTrialEnding(row, now),
    trialEnd: row.trialEnd,
    openInvoice: readOpenInvoice(row.openInvoice),
    nextInvoice: readNextInvoice(row.nextInvoice),
    card: row.paymentMethod as CardFacts | null,
  };
}

/** One open alert while a payment is overdue; its words follow what becomes of it. */
async function settleAlert(
  tx: Transaction,
  organizationId: string,
  standing: Standing | null,
  now: Date,
): Promise<void> {
  if (!standing?.overdue) {
    await resolveAlerts(tx, organizationId, "payment_failed", now);
    return;
  }
  const { overdue, openInvoice, stripeSubscriptionId: subject } = standing;
  const message = overdueSentence({ ...standing, overdue }, now);
  const details = {
    since: overdue.since.toISOString(),
    graceUntil: overdue.graceUntil?.toISOString() ?? null,
    invoiceId: openInvoice?.id ?? null,
  };
  await raiseAlert(tx, { organizationId, kind: "payment_failed", subject, message, details }, now);
  await tx.billingAlert.updateMany({
    where: { organizationId, kind: "payment_failed", subject, resolvedAt: null, NOT: { message } },
    data: { message, details },
  });
}

// ── Mails ────────────────────────────────────────────────────────────────────────────────────────────────────

async function tellPeople(
  tx: Transaction,
  organizationId: string,
  standing: Standing | null,
  end: (typeof ENDS)[number],
  now: Date,
): Promise<void> {
  if (!standing) return;
  const { overdue, stripeSubscriptionId: id } = standing;
  if (overdue) {
    const kind = noticeAt(overdue, now);
    await tell(tx, organizationId, { ...standing, overdue }, kind, subjectOf(id, overdue.since), now);
    return;
  }
  const over = await findOver(tx, organizationId, id);
  if (over !== null) await tell(tx, organizationId, standing, end, over, now);
  if (standing.isTrialEnding && standing.trialEnd) {
    await tell(tx, organizationId, standing, "trial_ends", subjectOf(id, standing.trialEnd), now);
  }
}

function subjectOf(stripeSubscriptionId: string, at: Date): string {
  return `${stripeSubscriptionId}:${at.toISOString()}`;
}

/** The last time that a payment was overdue, where its people were told of that and not yet of its end. */
async function findOver(tx: Transaction, organizationId: string, stripeSubscriptionId: string): Promise<string | null> {
  const told = await tx.billingNotice.findMany({
    where: { organizationId, subject: { startsWith: `${stripeSubscriptionId}:` } },
    orderBy: { subject: "desc" },
  });
  const last = told.find(({ kind }) => (PAYMENT_NOTICES as readonly string[]).includes(kind));
  const isEnd = (kind: string) => (ENDS as readonly string[]).includes(kind);
  if (!last || told.some(({ kind, subject }) => isEnd(kind) && subject === last.subject)) return null;
  return last.subject;
}

/** Sends a mail to everybody it concerns, once. Jobs send them: what becomes of a mail touches no money. */
async function tell(
  tx: Transaction,
  organizationId: string,
  standing: Standing,
  kind: NoticeKind,
  subject: string,
  now: Date,
): Promise<void> {
  const isNew = await tx.$executeRaw`
    INSERT INTO billing_notices (organization_id, kind, subject, created_at)
    VALUES (${organizationId}::uuid, ${kind}, ${subject}, ${now}::timestamptz) ON CONFLICT DO NOTHING`;
  if (isNew === 0) return;
  const organization = await tx.organization.findUniqueOrThrow({ where: { id: organizationId } });
  const people = await tx.membership.findMany({
    where: { organizationId, role: { in: ["owner", "billing"] } },
    include: { user: { select: { email: true } } },
  });
  const facts: DunningFacts = {
    ...standing,
    organizationName: organization.name,
    url: publicUrl(`/${organization.slug}/billing`),
  };
  for (const { userId, user } of people) {
    const mail = MAILS[kind](facts, user.email);
    if (mail) await enqueue(tx, "send-mail", mail, { key: `notice:${organizationId}:${kind}:${subject}:${userId}` });
  }
}

const MAILS: Record<NoticeKind, (facts: DunningFacts, to: string) => Mail | null> = {
  payment_failed: paymentFailedMail,
  block_tomorrow: blockTomorrowMail,
  blocked: blockedMail,
  payment_recovered: paymentRecoveredMail,
  payment_waived: paymentWaivedMail,
  trial_ends: trialEndsMail,
  first_payment_failed: firstPaymentFailedMail,
  unpaid_end: unpaidEndMail,
};

/** Tells that the first payment of a subscription has failed, though the subscription runs. Nothing happens where it is not used. */
export async function tellOfFailedStart(
  tx: Transaction,
  organizationId: string,
  subscription: { id: string; invoiceId: string },
  now: Date,
): Promise<void> {
  const standing = await readStanding(tx, organizationId, LIVE, now);
  if (standing?.stripeSubscriptionId !== subscription.id) return;
  const kind = "first_payment_failed";
  const message = failedStartSentence(standing);
  const details = { invoiceId: subscription.invoiceId };
  await raiseAlert(tx, { organizationId, kind, subject: subscription.id, message, details }, now);
  await tell(tx, organizationId, standing, kind, subscription.id, now);
}

/** Tells that a subscription has ended because it was not paid. For whoever has just saved its end. */
export async function tellOfUnpaidEnd(
  tx: Transaction,
  organizationId: string,
  stripeSubscriptionId: string,
  now: Date,
): Promise<void> {
  const standing = await readStanding(tx, organizationId, { stripeSubscriptionId }, now);
  if (standing) await tell(tx, organizationId, standing, "unpaid_end", subjectOf(stripeSubscriptionId, now), now);
}

/**
 * Tells of what came about by the clock alone: a block that is a day away, or there, and trials that end soon. Nobody waits for
 * it: the block counts from its instant on.
 */
export async function tellOfDueDunning(now: Date, limit: number): Promise<void> {
  for (const organizationId of await listDue(now, limit)) {
    try {
      await asPlatform((tx) => settleDunning(tx, organizationId, now));
    } catch (error) {
      // One organization's trouble is not the others'.
      log.error("an overdue payment was not told of", { organizationId, error });
    }
  }
}

/** Organizations with something to tell that was not told. */
async function listDue(now: Date, limit: number): Promise<string[]> {
  const rows = await asPlatform(
    (tx) => tx.$queryRaw<{ organization_id: string }[]>`
      SELECT due.organization_id FROM (
        SELECT s.organization_id, s.stripe_subscription_id, s.past_due_since AS since,
          CASE WHEN s.past_due_since + p.grace_days * interval '24 hours' <= ${now}::timestamptz THEN 'blocked' ELSE 'block_tomorrow' END AS kind
        FROM organization_subscriptions s JOIN subscription_plans p ON p.id = s.plan_id
        WHERE s.past_due_since IS NOT NULL AND s.status = 'past_due'
          AND s.past_due_since + (p.grace_days - 1) * interval '24 hours' <= ${now}::timestamptz
        UNION ALL
        SELECT s.organization_id, s.stripe_subscription_id, s.trial_end, 'trial_ends'
        FROM organization_subscriptions s
        WHERE s.status = 'trial' AND s.cancels_at IS NULL
          AND s.trial_end > ${now}::timestamptz AND s.trial_end <= ${now}::timestamptz + interval '72 hours'
      ) due
      WHERE NOT EXISTS (
        SELECT FROM billing_notices n WHERE n.organization_id = due.organization_id AND n.kind = due.kind
          AND n.subject = due.stripe_subscription_id || ':' || to_char(due.since AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
      LIMIT ${limit}`,
  );
  return rows.map((row) => row.organization_id);
}
