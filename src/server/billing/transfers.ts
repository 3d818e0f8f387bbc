// Transfers of credits between organizations: out of the giver's lots and into lots of the receiver, in one transaction.
import type { Account, Cause, LedgerRow } from "~/domain/account";
import type { Credits, GrantSource } from "~/domain/credits";
import { BillingError, invariant } from "~/domain/errors";
import { arrivingLot, type Carried, moveIn, moveOut, pickTransferable, type TransferredPart } from "~/domain/transfers";
import { asPlatform, type Transaction } from "../db";
import { newId } from "../db/keys";
import { claimNewLots, resolvePaidDebts } from "./claims";
import { billingKey, callerKey } from "./credits";
import { findByKey, lockAccounts, saveAccounts } from "./ledger/accounts";
import type { KnownRow } from "./ledger/load";

/** A lot as it arrived. */
export interface ReceivedLot {
  source: GrantSource;
  /** What the credits were before they were ever transferred. */
  originSource: GrantSource | null;
  amount: number;
  expiresAt: Date | null;
}

export interface Transfer {
  /** The giver's row. */
  transactionId: string;
  /** The receiver's row. */
  receivedTransactionId: string;
  amount: number;
  /** What the giver could spend right after it. */
  available: number;
  lots: ReceivedLot[];
  replayed: boolean;
}

export interface TransferRequest {
  /** The giver. */
  organizationId: string;
  toOrganizationId: string;
  amount: Credits;
  reason: string;
  idempotencyKey: string;
  actor: string;
  apiKeyId: string | null;
  now: Date;
}

/**
 * Gives credits of one organization to another, in burn order of what may be transferred: not promotions and trials, nothing
 * expired, nothing that a refund or dispute claims. Each part keeps its expiry, its origin and the payment behind it.
 * @throws BillingError INSUFFICIENT_CREDITS `{ required, available, transferable }`, INVALID_INPUT (to itself), NOT_FOUND
 *   (either organization), ACCOUNT_SUSPENDED, IDEMPOTENCY_CONFLICT. Nothing is moved then.
 */
export async function transferCredits(request: TransferRequest): Promise<Transfer> {
  const { organizationId, toOrganizationId, amount, reason, actor, apiKeyId, now } = request;
  if (organizationId === toOrganizationId) {
    throw new BillingError("INVALID_INPUT", "An organization cannot transfer credits to itself.", { organizationId });
  }
  const key = callerKey(request.idempotencyKey, { operation: "transfer", toOrganizationId, amount, reason });
  return asPlatform(async (tx) => {
    // Before the lock too: what was done is answered even when the receiver is gone by now.
    const before = await findByKey(tx, organizationId, key);
    if (before) return replayed(tx, before, organizationId, toOrganizationId);
    const [giver, receiver] = await lockAccounts(tx, [organizationId, toOrganizationId], now);
    invariant(giver && receiver, "two accounts were locked");
    const known = await findByKey(tx, organizationId, key);
    if (known) return replayed(tx, known, organizationId, toOrganizationId);

    const names = await organizationNames(tx, [organizationId, toOrganizationId]);
    const parts = pickTransferable(giver, amount, now);
    const said = { actor, apiKeyId };
    const given = moveOut(giver, parts, {
      cause: { ...said, key, reason: `To ${names.get(toOrganizationId)}: ${reason}`, reference: toOrganizationId },
      held: false,
      at: now,
    });
    const received = await receiveParts(tx, {
      giver,
      giverName: names.get(organizationId) ?? "",
      receiver,
      parts,
      cause: {
        ...said,
        key: billingKey(receivedKey(organizationId, given.id)),
        reason: `From ${names.get(organizationId)}: ${reason}`,
        reference: organizationId,
      },
      now,
    });
    await saveMoved(tx, giver, receiver, received, now);
    return {
      transactionId: given.id,
      receivedTransactionId: received.id,
      amount: -given.amount,
      available: given.availableAfter,
      lots: lotsOf(received),
      replayed: false,
    };
  });
}

/** Both sides of one movement find each other by it. */
function receivedKey(giverId: string, giverRowId: string): string {
  return `transfer:${giverId}:${giverRowId}`;
}

async function replayed(tx: Transaction, row: KnownRow, from: string, to: string): Promise<Transfer> {
  const received = await findByKey(tx, to, billingKey(receivedKey(from, row.id)));
  invariant(received, "what was given was received");
  return {
    transactionId: row.id,
    receivedTransactionId: received.id,
    amount: -row.amount,
    available: row.availableAfter,
    lots: await receivedLots(tx, to, received),
    replayed: true,
  };
}

/** Puts parts of the giver's lots into lots of the receiver. Both accounts are locked; they are saved by the caller. */
export async function receiveParts(
  tx: Transaction,
  delivery: {
    giver: Account;
    giverName: string;
    receiver: Account;
    parts: readonly TransferredPart[];
    cause: Cause;
    now: Date;
  },
): Promise<LedgerRow> {
  const { giver, giverName, receiver, parts, cause, now } = delivery;
  const carried = await loadCarried(
    tx,
    giver.state.organizationId,
    parts.map((part) => part.lot.id),
  );
  const lots = parts.map((part) => {
    const stored = carried.get(part.lot.id);
    invariant(stored, "a lot that is transferred is stored");
    const { id: _, label, ...rest } = stored;
    return arrivingLot(giver, part, rest, { id: newId(now), label: `${label}, from ${giverName}`, at: now });
  });
  return moveIn(receiver, lots, cause, now);
}

/** Writes both sides. What is known of the payments behind the lots is claimed where they are now. */
export async function saveMoved(
  tx: Transaction,
  giver: Account,
  receiver: Account,
  received: LedgerRow,
  now: Date,
): Promise<void> {
  await saveAccounts(tx, [giver, receiver]);
  await resolvePaidDebts(tx, receiver, now);
  const ids = [giver, receiver].map((account) => account.state.organizationId);
  const payments = new Map(
    received.newLots.map((lot) => [`${lot.stripePaymentId} ${lot.stripeInvoiceId}`, lot] as const),
  );
  for (const paidBy of payments.values()) await claimNewLots(tx, ids, paidBy, now);
}

/** What lots carry beside what the rules know; with the first label, so that it does not grow from hand to hand. */
async function loadCarried(
  tx: Transaction,
  organizationId: string,
  grantIds: string[],
): Promise<Map<string, Carried & { id: string; label: string }>> {
  const rows = await tx.$queryRaw<(Carried & { id: string; label: string })[]>`
    SELECT g.id, coalesce(first.label, g.label) AS label, g.plan_id AS "planId", g.plan_version AS "planVersion",
      g.price_id AS "priceId", g.product_id AS "productId", g.stripe_invoice_id AS "stripeInvoiceId",
      g.stripe_payment_id AS "stripePaymentId", g.stripe_session_id AS "stripeSessionId",
      g.origin_organization_id AS "originOrganizationId", g.origin_grant_id AS "originGrantId"
    FROM credit_grants g
    LEFT JOIN credit_grants first ON first.organization_id = g.origin_organization_id AND first.id = g.origin_grant_id
    WHERE g.organization_id = ${organizationId}::uuid AND g.id = ANY (${grantIds}::uuid[])`;
  return new Map(rows.map((row) => [row.id, row]));
}

/** The lots that a row made, as it says itself. */
export function lotsOf(row: LedgerRow): ReceivedLot[] {
  return row.newLots.map(({ source, originSource, amount, expiresAt }) => ({
    source,
    originSource: originSource ?? null,
    amount,
    expiresAt,
  }));
}

/** The lots that a stored row made. */
export async function receivedLots(tx: Transaction, organizationId: string, row: KnownRow): Promise<ReceivedLot[]> {
  const ids = row.entries.map((entry) => entry.grantId);
  const stored = await tx.creditGrant.findMany({ where: { organizationId, id: { in: ids } } });
  const lots = new Map(stored.map((lot) => [lot.id, lot]));
  return row.entries.map(({ grantId, source, amount }) => ({
    source,
    originSource: lots.get(grantId)?.originSource ?? null,
    amount,
    expiresAt: lots.get(grantId)?.expiresAt ?? null,
  }));
}

/** Names of organizations, for the reasons that people read. */
export async function organizationNames(tx: Transaction, ids: string[]): Promise<Map<string, string>> {
  const rows = await tx.organization.findMany({ where: { id: { in: ids } }, select: { id: true, name: true } });
  return new Map(rows.map((row) => [row.id, row.name]));
}
