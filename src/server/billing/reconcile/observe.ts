// Looks at an object with the very functions that events are processed with, and tells what that changed. Where nothing but the
// time of the look would change, nothing is written: so one interpretation of Stripe serves for comparing and for repairing.

import type { Transaction } from "../../db";
import type { Stripe } from "../../stripe";
import { differences } from "../stripe-catalogue/changes";
import type { SyncRun } from "../sync";
import { withSyncLock } from "../sync-lock";

// Longer than a crashed holder's lease.
const LOCK_WAIT_MS = 30_000;

export interface Difference {
  /** What it is a row of: `subscription`, `invoice`, `alert`, … */
  kind: string;
  key: string;
  /** In words, from what to what. */
  words: string;
  /** The row was not there. */
  isNew: boolean;
}

export interface Observation {
  stripe: Stripe;
  now: Date;
  cause: string;
  /** Whether what differs is written. */
  isRepairing: boolean;
}

/**
 * @param look what an event would do
 * @returns what it changed, or would change; empty where our rows were right
 * @throws BillingError BUSY, STRIPE_UNAVAILABLE
 */
export async function observe(
  organizationId: string,
  { isRepairing, ...about }: Observation,
  look: (run: SyncRun) => Promise<unknown>,
): Promise<Difference[]> {
  const found: Difference[] = [];
  await withSyncLock(organizationId, { waitMs: LOCK_WAIT_MS }, async (lock) => {
    const save = async <T>(work: (tx: Transaction) => Promise<T>): Promise<T> => {
      const { result, changed } = await tell(organizationId, isRepairing, lock.save, work);
      found.push(...changed);
      return result;
    };
    await look({ ...about, lock: { ...lock, save } });
  });
  return found;
}

/** Ends a transaction without a trace, and carries out what it came to. */
class Undo<T> extends Error {
  constructor(readonly outcome: T) {
    super("undone");
  }
}

async function tell<T>(
  organizationId: string,
  isRepairing: boolean,
  save: SyncRun["lock"]["save"],
  work: (tx: Transaction) => Promise<T>,
): Promise<{ result: T; changed: Difference[] }> {
  try {
    return await save(async (tx) => {
      const before = await snapshot(tx, organizationId);
      const result = await work(tx);
      const changed = compare(before, await snapshot(tx, organizationId));
      if (changed.length === 0 || !isRepairing) throw new Undo({ result, changed });
      return { result, changed };
    });
  } catch (error) {
    if (error instanceof Undo) return error.outcome;
    throw error;
  }
}

type Rows = Map<string, { kind: string; key: string; row: Record<string, unknown> }>;

/**
 * Everything that a synchronization of the organization may change, without the times of looks and what Stripe foretells. Lots that
 * were given on belong to their payment still.
 */
async function snapshot(tx: Transaction, organizationId: string): Promise<Rows> {
  const rows = await tx.$queryRaw<{ kind: string; key: string; row: Record<string, unknown> }[]>`
    WITH payments AS (SELECT * FROM stripe_payments WHERE organization_id = ${organizationId}::uuid)
    SELECT 'subscription' AS kind, stripe_subscription_id AS key, to_jsonb(s) - '{id,organization_id,synced_at,next_invoice}'::text[] AS row
      FROM organization_subscriptions s WHERE organization_id = ${organizationId}::uuid
    UNION ALL SELECT 'checkout', stripe_session_id, jsonb_build_object('status', status)
      FROM checkout_sessions WHERE organization_id = ${organizationId}::uuid
    UNION ALL SELECT 'allowance', stripe_item_id || ' ' || period_start || ' ' || cause, to_jsonb(p) - '{id,organization_id,created_at}'::text[]
      FROM allowance_periods p WHERE organization_id = ${organizationId}::uuid
    UNION ALL SELECT 'allowance given back', stripe_invoice_id || ' ' || stripe_item_id || ' ' || until_at, jsonb_build_object('credits', credits)
      FROM allowance_returns WHERE organization_id = ${organizationId}::uuid
    UNION ALL SELECT kind::text, stripe_id, to_jsonb(h) - '{id,organization_id,synced_at}'::text[]
      FROM billing_history h WHERE organization_id = ${organizationId}::uuid
    UNION ALL SELECT 'payment', id, to_jsonb(p) - '{organization_id,synced_at}'::text[] FROM payments p
    UNION ALL SELECT 'lot', id::text, jsonb_build_object('credits', amount, 'to_take', to_take, 'to_freeze', to_freeze, 'taken', taken)
      FROM credit_grants WHERE organization_id = ${organizationId}::uuid AND (stripe_invoice_id IS NOT NULL OR stripe_payment_id IS NOT NULL OR source = 'subscription')
        OR stripe_payment_id IN (SELECT id FROM payments) OR stripe_invoice_id IN (SELECT invoice_id FROM payments)
    UNION ALL SELECT 'credits', organization_id::text, jsonb_build_object('balance', balance, 'rows', last_seq, 'held', held, 'debt', debt,
        'suspended_at', suspended_at, 'blocked_from', blocked_from)
      FROM credit_accounts WHERE organization_id = ${organizationId}::uuid
    UNION ALL SELECT 'organization', id::text, jsonb_build_object('customer', stripe_customer_id, 'trial_used_at', trial_used_at)
      FROM organizations WHERE id = ${organizationId}::uuid
    UNION ALL SELECT 'alert', kind || ' ' || subject, jsonb_build_object('message', message)
      FROM billing_alerts WHERE resolved_at IS NULL AND (organization_id = ${organizationId}::uuid OR organization_id IS NULL)`;
  return new Map(rows.map((row) => [`${row.kind} ${row.key}`, row]));
}

function compare(before: Rows, after: Rows): Difference[] {
  const changed: Difference[] = [];
  for (const [name, { kind, key, row }] of after) {
    const known = before.get(name);
    if (!known)
      changed.push({
        kind,
        key,
        words: kind === "alert" ? String(row.message) : `${kind} ${key} was missing`,
        isNew: true,
      });
    else {
      const fields = differences(row, known.row);
      if (fields.length > 0) changed.push({ kind, key, words: `${kind} ${key}: ${fields.join(", ")}`, isNew: false });
    }
  }
  for (const [name, { kind, key }] of before) {
    if (!after.has(name)) changed.push({ kind, key, words: `${kind} ${key} is over`, isNew: false });
  }
  return changed;
}
