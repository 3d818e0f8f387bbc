// What a person should look at. One open alert for each kind and subject: the same trouble twice is one alert.
import { asOrganization, type Prisma, type Transaction } from "../db";
import { newId } from "../db/keys";

export type AlertKind =
  | "unknown_customer"
  | "customer_mismatch"
  | "unknown_price"
  | "unknown_status"
  | "unexpected_transition"
  | "second_subscription"
  | "event_dead"
  | "payment_failed";

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

/** Closes what has taken care of itself. */
export async function resolveAlert(
  tx: Transaction,
  organizationId: string,
  kind: AlertKind,
  subject: string,
  now: Date,
): Promise<void> {
  await tx.billingAlert.updateMany({
    where: { organizationId, kind, subject, resolvedAt: null },
    data: { resolvedAt: now },
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
