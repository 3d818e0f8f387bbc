// What must hold among our own rows, whatever Stripe says: slices that are due are granted, every lot has an origin, and a
// balance is what its lots hold.
import { asPlatform } from "../../db";
import { grantDueSlices } from "../allowances";
import type { Context } from "./context";

// The clock's own jobs run each minute; what they have not done by then they do not do.
const LATE_MS = 10 * 60_000;
const BATCH = 500;
const MOST_TOLD = 100;

export async function* ourRows(context: Context): AsyncGenerator<string | null> {
  await grantLateSlices(context);
  await findUnknownLots(context);
  await findWrongBalances(context);
  yield null;
}

interface LateSlice {
  id: string;
  organization_id: string;
  next_slice_at: Date;
}

const listLateSlices = (before: Date): Promise<LateSlice[]> =>
  asPlatform(
    (tx) => tx.$queryRaw<LateSlice[]>`
      SELECT p.id, p.organization_id, p.next_slice_at FROM allowance_periods p JOIN organizations o ON o.id = p.organization_id
      WHERE p.next_slice_at <= ${before}::timestamptz AND p.stopped_at IS NULL AND o.deleted_at IS NULL
      ORDER BY p.next_slice_at LIMIT ${BATCH}`,
  );

async function grantLateSlices(context: Context): Promise<void> {
  const late = await listLateSlices(new Date(context.now.getTime() - LATE_MS));
  if (late.length === 0) return;
  if (context.isRepairing) await grantDueSlices(context.now, BATCH);
  const left = new Set((await listLateSlices(context.now)).map(({ id }) => id));
  for (const { id, organization_id: organizationId, next_slice_at: at } of late) {
    const finding = { organizationId, kind: "slice", subject: id };
    const message = `credits that were due at ${at.toISOString()} had not been granted`;
    if (!left.has(id) || !context.isRepairing)
      await context.find({ ...finding, message, repaired: context.isRepairing });
    else await context.queue({ ...finding, message: `${message}, and could not be` }, "reconciliation");
  }
}

/** Lots that say they were paid for, and not with what. */
async function findUnknownLots(context: Context): Promise<void> {
  const lots = await asPlatform(
    (tx) => tx.$queryRaw<{ id: string; organization_id: string; amount: number; source: string }[]>`
      SELECT g.id, g.organization_id, g.amount::float8 AS amount, g.source::text AS source FROM credit_grants g
      WHERE g.created_at >= ${context.since}::timestamptz AND (
        (g.source = 'purchase' AND g.stripe_session_id IS NULL AND g.stripe_invoice_id IS NULL)
        OR (g.source = 'subscription' AND g.stripe_invoice_id IS NULL AND g.transferable AND g.rolled_over = 0 AND g.plan_id IS NULL))
      ORDER BY g.id LIMIT ${MOST_TOLD}`,
  );
  for (const { id, organization_id: organizationId, amount, source } of lots) {
    const message = `A lot of ${amount} credits says ${source} and names nothing that was paid.`;
    await context.queue({ organizationId, kind: "unknown_lot", subject: id, message }, "reconciliation");
  }
}

/** In one snapshot, so that what is being written at the moment is not taken for a difference. */
async function findWrongBalances(context: Context): Promise<void> {
  const accounts = await asPlatform(
    (tx) => tx.$queryRaw<{ organization_id: string; balance: number; lots: number; rows: number }[]>`
      SELECT * FROM (
        SELECT a.organization_id, a.balance::float8 AS balance,
          (SELECT coalesce(sum(g.remaining), 0) FROM credit_grants g WHERE g.organization_id = a.organization_id AND g.open)::float8 AS lots,
          coalesce((SELECT t.balance_after FROM credit_transactions t WHERE t.organization_id = a.organization_id AND t.seq = a.last_seq), 0)::float8 AS rows
        FROM credit_accounts a) sums
      WHERE balance <> lots OR balance <> rows LIMIT ${MOST_TOLD}`,
  );
  for (const { organization_id: organizationId, balance, lots, rows } of accounts) {
    const message = `The balance is ${balance}, its lots hold ${lots}, and its last row says ${rows}. Run npm run ledger:verify.`;
    await context.queue({ organizationId, kind: "balance", subject: organizationId, message }, "reconciliation");
  }
}
