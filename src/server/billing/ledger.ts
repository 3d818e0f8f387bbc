// The ledger's rows: lock an account, load its lots, append a movement. What a movement should be is decided elsewhere.
import {
  availableCredits,
  type BurnOrder,
  type Credits,
  type GrantSource,
  type Lot,
  toCredits,
} from "~/domain/credits";
import { BillingError, invariant } from "~/domain/errors";
import type { Prisma, Transaction } from "../db";
import { newId } from "../db/keys";

export type TransactionType =
  | "grant"
  | "purchase"
  | "promotion"
  | "adjustment"
  | "consume"
  | "reversal"
  | "expiry"
  | "refund"
  | "dispute"
  | "transfer";

/** An account under lock: nobody else moves this organization's credits until the transaction ends. */
export interface LockedAccount {
  organizationId: string;
  balance: Credits;
  held: Credits;
  lastSeq: bigint;
  burnOrder: BurnOrder;
}

export interface OpenLot extends Lot {
  label: string;
}

/** Who chose a key: a caller, or Billfold from what caused the movement. The two cannot collide. */
export interface LedgerKey {
  space: "caller" | "billing";
  key: string;
  /** Fingerprint of the request's meaning. */
  requestHash: string;
}

export interface Movement {
  type: TransactionType;
  key: LedgerKey;
  /** What each lot gains (positive) or loses (negative), in burn order. */
  entries: { grantId: string; amount: number }[];
  actor: string;
  apiKeyId?: string | null;
  reason?: string | null;
  event?: { id: string; name: string; version: number; quantity: number; unitCost: Credits };
  metadata?: Prisma.InputJsonValue | null;
  at: Date;
}

export interface PostedTransaction {
  id: string;
  seq: bigint;
  amount: Credits;
  balanceAfter: Credits;
  availableAfter: Credits;
}

/** Locks the organization's account. @throws BillingError NOT_FOUND where there is none. */
export async function lockAccount(tx: Transaction, organizationId: string): Promise<LockedAccount> {
  const [row] = await tx.$queryRaw<{ balance: bigint; held: bigint; last_seq: bigint; burn_order: BurnOrder }[]>`
    SELECT a.balance, a.held, a.last_seq, o.burn_order::text AS burn_order
    FROM credit_accounts a JOIN organizations o ON o.id = a.organization_id
    WHERE a.organization_id = ${organizationId}::uuid AND o.deleted_at IS NULL
    FOR UPDATE OF a`;
  if (!row) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
  return {
    organizationId,
    balance: toCredits(row.balance),
    held: toCredits(row.held),
    lastSeq: row.last_seq,
    burnOrder: row.burn_order,
  };
}

/**
 * The lots that still hold credits, expired ones included. Read after the lock, in a statement of its own: the snapshot
 * of a statement that waits for the lock is older than what the lock protects.
 */
export async function loadOpenLots(tx: Transaction, organizationId: string): Promise<OpenLot[]> {
  const rows = await tx.$queryRaw<
    { id: string; source: GrantSource; remaining: bigint; expires_at: Date | null; created_at: Date; label: string }[]
  >`
    SELECT id, source::text AS source, remaining, expires_at, created_at, label
    FROM credit_grants WHERE organization_id = ${organizationId}::uuid AND open`;
  return rows.map((row) => ({
    id: row.id,
    source: row.source,
    remaining: toCredits(row.remaining),
    expiresAt: row.expires_at,
    createdAt: row.created_at,
    label: row.label,
  }));
}

export interface KnownTransaction {
  id: string;
  seq: bigint;
  type: TransactionType;
  amount: Credits;
  availableAfter: Credits;
  allocations: { grantId: string; source: GrantSource; amount: Credits }[];
}

/**
 * What was already written under a key, with the lots it touched.
 * @throws BillingError IDEMPOTENCY_CONFLICT where the key stands for another request.
 */
export async function findByKey(
  tx: Transaction,
  organizationId: string,
  key: LedgerKey,
): Promise<KnownTransaction | null> {
  const rows = await tx.$queryRaw<
    {
      id: string;
      seq: bigint;
      type: TransactionType;
      amount: bigint;
      available_after: bigint;
      request_hash: string;
      grant_id: string;
      source: GrantSource;
      entry_amount: bigint;
    }[]
  >`
    SELECT t.id, t.seq, t.type::text AS type, t.amount, t.available_after, t.request_hash,
           e.grant_id, g.source::text AS source, e.amount AS entry_amount
    FROM credit_transactions t
    JOIN credit_entries e ON e.organization_id = t.organization_id AND e.transaction_seq = t.seq
    JOIN credit_grants g ON g.organization_id = e.organization_id AND g.id = e.grant_id
    WHERE t.organization_id = ${organizationId}::uuid AND t.key_space = ${key.space}::key_space AND t.idempotency_key = ${key.key}
    ORDER BY e.position`;
  const [first] = rows;
  if (!first) return null;
  if (first.request_hash !== key.requestHash) {
    throw new BillingError("IDEMPOTENCY_CONFLICT", "This idempotency key was used for another request.", {
      idempotencyKey: key.key,
      transactionId: first.id,
    });
  }
  return {
    id: first.id,
    seq: first.seq,
    type: first.type,
    amount: toCredits(first.amount),
    availableAfter: toCredits(first.available_after),
    allocations: rows.map((row) => ({
      grantId: row.grant_id,
      source: row.source,
      amount: toCredits(row.entry_amount < 0n ? -row.entry_amount : row.entry_amount),
    })),
  };
}

export interface NewLot {
  source: GrantSource;
  amount: Credits;
  expiresAt: Date | null;
  label: string;
  planId?: string;
  planVersion?: number;
  priceId?: string;
  productId?: string;
  stripeInvoiceId?: string | null;
  stripePaymentId?: string | null;
  stripeSessionId?: string | null;
}

/** Creates a lot and the movement that fills it. */
export async function postGrant(
  tx: Transaction,
  account: LockedAccount,
  lots: readonly OpenLot[],
  lot: NewLot,
  movement: Omit<Movement, "entries">,
): Promise<PostedTransaction & { grantId: string }> {
  const grantId = newId(movement.at);
  await tx.$executeRaw`
    INSERT INTO credit_grants (organization_id, id, source, amount, remaining, open, expires_at, label, plan_id, plan_version,
      price_id, product_id, stripe_invoice_id, stripe_payment_id, stripe_session_id, created_at)
    VALUES (${account.organizationId}::uuid, ${grantId}::uuid, ${lot.source}::grant_source, ${lot.amount}::bigint, ${lot.amount}::bigint, true,
      ${lot.expiresAt}::timestamptz, ${lot.label}, ${lot.planId ?? null}::uuid, ${lot.planVersion ?? null}::int, ${lot.priceId ?? null}::uuid,
      ${lot.productId ?? null}::uuid, ${lot.stripeInvoiceId ?? null}, ${lot.stripePaymentId ?? null}, ${lot.stripeSessionId ?? null},
      ${movement.at}::timestamptz)`;
  const filled: OpenLot = {
    id: grantId,
    source: lot.source,
    remaining: lot.amount,
    expiresAt: lot.expiresAt,
    createdAt: movement.at,
    label: lot.label,
  };
  const available = availableCredits([...lots, filled], account.held, movement.at);
  const entries = [{ grantId, amount: lot.amount }];
  const posted = await append(tx, account, { ...movement, entries }, [filled], available);
  return { ...posted, grantId };
}

/** Changes what lots hold and writes the movement that says so. */
export async function postMovement(
  tx: Transaction,
  account: LockedAccount,
  lots: readonly OpenLot[],
  movement: Movement,
): Promise<PostedTransaction> {
  const change = new Map(movement.entries.map((entry) => [entry.grantId, entry.amount]));
  const after = lots.map((lot) => ({ ...lot, remaining: toCredits(lot.remaining + (change.get(lot.id) ?? 0)) }));
  const changed = await tx.$executeRaw`
    UPDATE credit_grants g SET remaining = g.remaining + c.amount, open = g.remaining + c.amount > 0
    FROM unnest(${movement.entries.map((entry) => entry.grantId)}::uuid[], ${movement.entries.map((entry) => BigInt(entry.amount))}::bigint[]) AS c (id, amount)
    WHERE g.organization_id = ${account.organizationId}::uuid AND g.id = c.id`;
  invariant(changed === movement.entries.length, "every lot of a movement is a lot of its organization");
  return append(tx, account, movement, after, availableCredits(after, account.held, movement.at));
}

async function append(
  tx: Transaction,
  account: LockedAccount,
  movement: Movement,
  lotsAfter: readonly OpenLot[],
  available: Credits,
): Promise<PostedTransaction> {
  const amount = toCredits(movement.entries.reduce((sum, entry) => sum + entry.amount, 0));
  invariant(amount !== 0, "a movement moves credits");
  const balanceAfter = toCredits(account.balance + amount);
  const seq = account.lastSeq + 1n;
  const id = newId(movement.at);
  const grantIds = movement.entries.map((entry) => entry.grantId);
  const amounts = movement.entries.map((entry) => BigInt(entry.amount));
  const remaining = new Map(lotsAfter.map((lot) => [lot.id, BigInt(lot.remaining)]));
  const remainders = grantIds.map((grantId) => remaining.get(grantId) ?? 0n);
  const { event } = movement;
  const metadata = movement.metadata == null ? null : JSON.stringify(movement.metadata);
  await tx.$executeRaw`
    WITH row AS (
      INSERT INTO credit_transactions (organization_id, seq, id, type, amount, balance_after, available_after, key_space, idempotency_key,
        request_hash, event_id, event_name, event_version, quantity, unit_cost, reason, actor, api_key_id, metadata, created_at)
      VALUES (${account.organizationId}::uuid, ${seq}::bigint, ${id}::uuid, ${movement.type}::transaction_type, ${amount}::bigint,
        ${balanceAfter}::bigint, ${available}::bigint, ${movement.key.space}::key_space, ${movement.key.key}, ${movement.key.requestHash},
        ${event?.id ?? null}::uuid, ${event?.name ?? null}, ${event?.version ?? null}::int, ${event?.quantity ?? null}::bigint,
        ${event?.unitCost ?? null}::bigint, ${movement.reason ?? null}, ${movement.actor}, ${movement.apiKeyId ?? null}::uuid,
        ${metadata}::jsonb, ${movement.at}::timestamptz)
    ), entries AS (
      INSERT INTO credit_entries (organization_id, transaction_seq, position, grant_id, amount, lot_after)
      SELECT ${account.organizationId}::uuid, ${seq}::bigint, e.position, e.grant_id, e.amount, e.lot_after
      FROM unnest(${grantIds}::uuid[], ${amounts}::bigint[], ${remainders}::bigint[]) WITH ORDINALITY AS e (grant_id, amount, lot_after, position)
    )
    UPDATE credit_accounts SET balance = ${balanceAfter}::bigint, last_seq = ${seq}::bigint, updated_at = ${movement.at}::timestamptz
    WHERE organization_id = ${account.organizationId}::uuid`;
  account.balance = balanceAfter;
  account.lastSeq = seq;
  return { id, seq, amount, balanceAfter, availableAfter: available };
}
