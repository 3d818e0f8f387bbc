// Where lots came from: the plan and period, the invoice or payment, the reason or the giver behind each.
import type { GrantSource } from "~/domain/credits";
import { asPlatform, type Transaction } from "../db";

/** What an organization was charged for a lot. */
export interface LotPayment {
  description: string;
  status: string;
  number: string | null;
  /** In the currency's minor unit, tax included. */
  amount: number;
  currency: string;
  occurredAt: Date;
  invoiceUrl: string | null;
  pdfUrl: string | null;
}

export interface LotOrigin {
  source: GrantSource;
  /** The row that made it, and who or what did. */
  transactionId: string;
  at: Date;
  actor: string;
  reason: string | null;
  plan: { name: string; version: number | null; periodStart: Date; periodEnd: Date; trial: boolean } | null;
  /** The pack that was bought. */
  product: string | null;
  payment: LotPayment | null;
  /** The organization that gave it, and what it was there at first; null for what was not transferred. */
  from: { name: string | null; source: GrantSource | null } | null;
}

/** An origin as the organization itself can read it: whoever gave the lot is an id. */
export interface ReadOrigin extends Omit<LotOrigin, "from"> {
  from: { organizationId: string | null; source: GrantSource | null } | null;
}

interface MadeLot {
  id: string;
  source: GrantSource;
  origin_source: GrantSource | null;
  plan_version: number | null;
  product_name: string | null;
  allowance_id: string | null;
  stripe_invoice_id: string | null;
  stripe_session_id: string | null;
  transaction_id: string;
  at: Date;
  actor: string;
  reason: string | null;
  reference: string | null;
  idempotency_key: string;
}

/** The origins of lots, by lot. In the organization's own transaction; `nameGivers` follows when that has ended. */
export async function originsOf(
  tx: Transaction,
  organizationId: string,
  grantIds: readonly string[],
): Promise<Map<string, ReadOrigin>> {
  if (grantIds.length === 0) return new Map();
  const lots = await tx.$queryRaw<MadeLot[]>`
    SELECT g.id, g.source::text AS source, g.origin_source::text AS origin_source, g.plan_version, p.name AS product_name, g.allowance_id,
      g.stripe_invoice_id, g.stripe_session_id, t.id AS transaction_id, t.created_at AS at, t.actor, t.reason, t.reference, t.idempotency_key
    FROM credit_grants g
    CROSS JOIN LATERAL first_movement(g.organization_id, g.id) made
    JOIN credit_transactions t ON t.organization_id = g.organization_id AND t.seq = made.transaction_seq
    LEFT JOIN credit_products p ON p.id = g.product_id
    WHERE g.organization_id = ${organizationId}::uuid AND g.id = ANY (${grantIds}::uuid[])`;
  const periods = await periodsOf(tx, organizationId, lots);
  const payments = await paymentsOf(tx, organizationId, lots);
  return new Map(
    lots.map((lot) => [
      lot.id,
      {
        source: lot.source,
        transactionId: lot.transaction_id,
        at: lot.at,
        actor: lot.actor,
        reason: lot.reason,
        plan: withVersion(periods.get(lot.id), lot.plan_version),
        product: lot.source === "purchase" ? lot.product_name : null,
        // What somebody else paid is told to them.
        payment: lot.source === "transfer" ? null : (payments.get(paidBy(lot) ?? "") ?? null),
        from: lot.source === "transfer" ? { organizationId: lot.reference, source: lot.origin_source } : null,
      },
    ]),
  );
}

const ALLOWANCE_KEY = /^allowance:(.+):(\d{4}-\d\d-\d\dT[\d:.]+Z):\d+$/;

/** `<item>:<period start>` of the key of a row that granted an allowance. */
function periodKey(idempotencyKey: string): string | null {
  const [, item, start] = ALLOWANCE_KEY.exec(idempotencyKey) ?? [];
  return item && start ? `${item}:${start}` : null;
}

type Period = Omit<NonNullable<LotOrigin["plan"]>, "version">;

function withVersion(period: Period | undefined, version: number | null): LotOrigin["plan"] {
  return period === undefined ? null : { ...period, version };
}

/** By lot, the period that was paid for it: its own, or the one that it was carried over from. */
async function periodsOf(
  tx: Transaction,
  organizationId: string,
  lots: readonly MadeLot[],
): Promise<Map<string, Period>> {
  const ids = lots.map((lot) => lot.allowance_id).filter((id) => id !== null);
  // Lots of before they named their allowance: the key of the row that made them does.
  const keys = lots.flatMap((lot) => (lot.allowance_id === null ? (periodKey(lot.idempotency_key) ?? []) : []));
  if (ids.length + keys.length === 0) return new Map();
  const asked = keys.map((key) => {
    const start = key.slice(key.indexOf(":") + 1);
    return { stripeItemId: key.slice(0, key.indexOf(":")), periodStart: new Date(start), cause: "" };
  });
  const rows = await tx.allowancePeriod.findMany({ where: { organizationId, OR: [{ id: { in: ids } }, ...asked] } });
  const byName = new Map<string, Period>();
  for (const { id, stripeItemId, periodStart, periodEnd, planName, trial } of rows) {
    const period = { name: planName, periodStart, periodEnd, trial };
    byName.set(id, period).set(`${stripeItemId}:${periodStart.toISOString()}`, period);
  }
  return new Map(
    lots.flatMap((lot) => {
      const period = byName.get(lot.allowance_id ?? periodKey(lot.idempotency_key) ?? "");
      return period ? [[lot.id, period] as const] : [];
    }),
  );
}

function paidBy(lot: MadeLot): string | null {
  if (lot.stripe_session_id !== null) return `credit_purchase:${lot.stripe_session_id}`;
  return lot.stripe_invoice_id === null ? null : `invoice:${lot.stripe_invoice_id}`;
}

async function paymentsOf(
  tx: Transaction,
  organizationId: string,
  lots: readonly MadeLot[],
): Promise<Map<string, LotPayment>> {
  const ids = lots.flatMap((lot) => [lot.stripe_invoice_id, lot.stripe_session_id]).filter((id) => id !== null);
  if (ids.length === 0) return new Map();
  const rows = await tx.billingHistory.findMany({
    where: { organizationId, kind: { in: ["invoice", "credit_purchase"] }, stripeId: { in: ids } },
  });
  return new Map(
    rows.map((row) => {
      const { description, status, number, currency, occurredAt, invoiceUrl, pdfUrl } = row;
      const payment = {
        description,
        status,
        number,
        currency,
        occurredAt,
        invoiceUrl,
        pdfUrl,
        amount: Number(row.amount),
      };
      return [`${row.kind}:${row.stripeId}`, payment];
    }),
  );
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * The same lots with the names of those who gave them: another organization's name is not its receiver's to read, but who gave
 * something may be known to who got it. A transaction of its own, as the platform.
 */
export async function nameGivers<Lot extends { origin: ReadOrigin | null }>(
  lots: readonly Lot[],
): Promise<(Omit<Lot, "origin"> & { origin: LotOrigin | null })[]> {
  const names = await giverNames(lots.flatMap(({ origin }) => origin?.from?.organizationId ?? []));
  return lots.map((lot) => ({ ...lot, origin: lot.origin && withGiver(lot.origin, names) }));
}

function withGiver(origin: ReadOrigin, names: ReadonlyMap<string, string>): LotOrigin {
  const { from } = origin;
  return { ...origin, from: from && { name: names.get(from.organizationId ?? "") ?? null, source: from.source } };
}

async function giverNames(ids: readonly string[]): Promise<Map<string, string>> {
  const known = [...new Set(ids.filter((id) => UUID.test(id)))];
  if (known.length === 0) return new Map();
  const rows = await asPlatform((tx) =>
    tx.organization.findMany({ where: { id: { in: known } }, select: { id: true, name: true } }),
  );
  return new Map(rows.map((row) => [row.id, row.name]));
}
