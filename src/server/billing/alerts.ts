// What a person should look at. One open alert for each kind and subject: the same trouble twice is one alert.
import { asOrganization, asPlatform, type Prisma, type Transaction } from "../db";
import { newId } from "../db/keys";

export type AlertKind =
  | "unknown_customer"
  | "customer_mismatch"
  | "unknown_price"
  | "unknown_status"
  | "unexpected_transition"
  | "second_subscription"
  | "paid_after_removal"
  | "event_dead"
  | "payment_failed"
  | "first_payment_failed"
  | "payment_disputed"
  | "dispute_lost"
  | "credits_owed"
  | "account_suspended"
  | "account_resumed"
  | "spent_policy_changed"
  | "subscription_action"
  | "plan_changed"
  | "grant_without_payment"
  | "reconciliation";

export interface Alert {
  organizationId: string | null;
  kind: AlertKind;
  /** What it is about: an event, a price, a subscription. */
  subject: string;
  message: string;
  details?: Prisma.InputJsonObject;
}

/** Opens an alert, or leaves the open one of the same kind and subject as it is. */
export async function raiseAlert(tx: Transaction, alert: Alert, now: Date): Promise<void> {
  const details = alert.details ? JSON.stringify(alert.details) : null;
  await tx.$executeRaw`
    INSERT INTO billing_alerts (id, organization_id, kind, subject, message, details, created_at)
    VALUES (${newId(now)}::uuid, ${alert.organizationId}::uuid, ${alert.kind}, ${alert.subject}, ${alert.message}, ${details}::jsonb, ${now}::timestamptz)
    ON CONFLICT (organization_id, kind, subject) WHERE resolved_at IS NULL DO NOTHING`;
}

/** Closes what has taken care of itself, of one kind or of several. */
export async function resolveAlert(
  tx: Transaction,
  organizationId: string,
  kinds: AlertKind | readonly AlertKind[],
  subject: string,
  now: Date,
): Promise<void> {
  await tx.$executeRaw`
    UPDATE billing_alerts SET resolved_at = ${now}::timestamptz
    WHERE organization_id = ${organizationId}::uuid AND kind = ANY (${[kinds].flat()}) AND subject = ${subject} AND resolved_at IS NULL`;
}

/** Closes all alerts of a kind. */
export async function resolveAlerts(
  tx: Transaction,
  organizationId: string,
  kind: AlertKind,
  now: Date,
): Promise<void> {
  await tx.billingAlert.updateMany({ where: { organizationId, kind, resolvedAt: null }, data: { resolvedAt: now } });
}

/** Keeps what somebody of the platform did, for whoever asks later; nobody has to look at it. */
export async function recordAction(tx: Transaction, action: Alert, now: Date): Promise<void> {
  const { details, ...rest } = action;
  await tx.billingAlert.create({
    data: { id: newId(now), ...rest, ...(details ? { details } : {}), createdAt: now, resolvedAt: now },
  });
}

export interface OpenAlert {
  id: string;
  kind: string;
  message: string;
  createdAt: Date;
}

/** Alerts of the organization that nobody has closed, oldest first. */
export function listOpenAlerts(organizationId: string): Promise<OpenAlert[]> {
  return asOrganization(organizationId, (tx) =>
    tx.billingAlert.findMany({
      where: { organizationId, resolvedAt: null },
      orderBy: { createdAt: "asc" },
      select: { id: true, kind: true, message: true, createdAt: true },
      take: 20,
    }),
  );
}

export interface PlatformAlert extends OpenAlert {
  /** What it is about: an event, a price, a subscription. */
  subject: string;
  organization: { id: string; name: string; slug: string } | null;
}

/** Alerts that nobody has closed, of all organizations and of none, newest first. @param page.cursor the last id of the page before */
export async function listAlertsOfAll(page: {
  cursor: string | null;
  limit: number;
}): Promise<{ items: PlatformAlert[]; nextCursor: string | null }> {
  const { cursor, limit } = page;
  return asPlatform(async (tx) => {
    const rows = await tx.billingAlert.findMany({
      where: { resolvedAt: null, ...(cursor === null ? {} : { id: { lt: cursor } }) },
      orderBy: { id: "desc" },
      take: limit + 1,
      select: { id: true, kind: true, subject: true, message: true, createdAt: true, organizationId: true },
    });
    const shown = rows.slice(0, limit);
    const ids = shown.map(({ organizationId }) => organizationId).filter((id) => id !== null);
    const found = await tx.organization.findMany({
      where: { id: { in: ids } },
      select: { id: true, name: true, slug: true },
    });
    const organizations = new Map(found.map((one) => [one.id, one]));
    return {
      items: shown.map(({ organizationId, ...alert }) => ({
        ...alert,
        organization: organizations.get(organizationId ?? "") ?? null,
      })),
      nextCursor: rows.length > limit ? (shown.at(-1)?.id ?? null) : null,
    };
  });
}

const NUMBER = new Intl.NumberFormat("en");

/**
 * Makes the alerts of accounts agree with the accounts: what is owed and what is suspended changes also in takes, releases and
 * reversals, which know nothing of alerts. For the clock; again and again it changes nothing.
 */
export async function settleAccountAlerts(tx: Transaction, now: Date): Promise<void> {
  await tx.$executeRaw`
    UPDATE billing_alerts b SET resolved_at = ${now}::timestamptz FROM credit_accounts a
    WHERE b.resolved_at IS NULL AND a.organization_id = b.organization_id
      AND ((b.kind = 'credits_owed' AND a.debt = 0) OR (b.kind = 'account_suspended' AND a.suspended_at IS NULL))`;
  const silent = await tx.$queryRaw<SilentAccount[]>`
    SELECT a.organization_id, state.kind, a.debt, a.suspended_reason
    FROM credit_accounts a CROSS JOIN LATERAL (
      VALUES ('credits_owed', a.debt > 0), ('account_suspended', a.suspended_at IS NOT NULL)
    ) state (kind, is_so)
    WHERE (a.debt > 0 OR a.suspended_at IS NOT NULL) AND state.is_so AND NOT EXISTS (
      SELECT FROM billing_alerts b WHERE b.organization_id = a.organization_id AND b.kind = state.kind AND b.resolved_at IS NULL)
    LIMIT 100`;
  for (const account of silent) {
    const { organization_id: organizationId, kind } = account;
    await raiseAlert(tx, { organizationId, kind, subject: "account", ...wordsOf(account) }, now);
  }
}

/** What an account is that no open alert tells of. */
interface SilentAccount {
  organization_id: string;
  kind: "credits_owed" | "account_suspended";
  debt: bigint;
  suspended_reason: string | null;
}

function wordsOf({ kind, debt, suspended_reason: reason }: SilentAccount): Pick<Alert, "message" | "details"> {
  if (kind === "account_suspended") {
    const message = "Spending is suspended, because the payment for credits that were spent was taken back.";
    return { message, details: { reason } };
  }
  const message = `Credits were spent whose payment was taken back. ${NUMBER.format(debt)} credits are owed; the next ones pay for them.`;
  return { message, details: { owed: Number(debt) } };
}
