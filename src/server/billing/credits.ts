// Spending, granting and expiring credits, and what is left. What moves is decided by the rules of `src/domain`.
import { Account, type Cause, type LedgerKey, type LedgerRow, type NewLot as LotToMake } from "~/domain/account";
import { type Balance, balanceOf, type Credits, type GrantSource, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { grant } from "~/domain/granting";
import { endLeases } from "~/domain/holds";
import { costOf, rateAt, requireEvent } from "~/domain/rate-card";
import { consume, expire } from "~/domain/spending";
import { ask, asPlatform, inOneExchange, Prisma, type Transaction } from "../db";
import { fingerprint, newId, newTransactionId } from "../db/keys";
import { claimNewLots, resolvePaidDebts } from "./claims";
import { findByKey, lockAccount, saveAccounts } from "./ledger/accounts";
import { groupCommit } from "./ledger/group-commit";
import { type KnownRow, readAccount, type StoredAccount } from "./ledger/load";
import { availableAfterSettling } from "./ledger/settling";

/** Facts that a service keeps with what it does; flat, and small. */
export type Metadata = Record<string, string | number | boolean | null>;

/** Who does something in an organization, and on whose account inside it. */
export interface Spender {
  actor: string;
  /** The group commit asks, in the same statement, that it is valid: it may be revoked while the call waits. */
  apiKeyId?: string | null;
  /** A tag of the organization's own, for budgets and usage. */
  project?: string | null;
  /** The member on whose behalf a service spends. */
  memberId?: string | null;
}

export interface ConsumeRequest extends Spender {
  organizationId: string;
  eventName: string;
  /** Units of the event; a positive whole number. */
  quantity: number;
  /** The caller's own key for this unit of work; the same one again takes nothing and gives the first answer. */
  idempotencyKey: string;
  metadata?: Metadata | undefined;
  now: Date;
}

export interface Allocation {
  grantId: string;
  source: GrantSource;
  amount: number;
}

export interface Consumption {
  transactionId: string;
  consumed: number;
  /** What could be spent right after the take. */
  available: number;
  /** Which lots paid how much, in burn order. */
  allocations: Allocation[];
  replayed: boolean;
}

/** About what a request keeps in memory while it waits, beside its metadata. */
const REQUEST_BYTES = 500;

/**
 * Takes what a quantity of an event costs, from the organization's lots in burn order.
 * @throws BillingError INSUFFICIENT_CREDITS `{ required, available }`, BUDGET_EXCEEDED, ACCOUNT_SUSPENDED, UNKNOWN_EVENT,
 *   INACTIVE_EVENT, IDEMPOTENCY_CONFLICT, INVALID_INPUT (cost beyond a safe integer), NOT_FOUND (organization), OVERLOADED
 *   `{ retryAfterMs }`. Nothing is taken then.
 */
export function consumeCredits(request: ConsumeRequest): Promise<Consumption> {
  const { organizationId, eventName, quantity, metadata } = request;
  const key = callerKey(request.idempotencyKey, {
    operation: "consume",
    eventName,
    quantity,
    metadata: metadata ?? {},
    ...tagsOf(request),
  });
  const cause = causeOf(request, key, metadata);
  return groupCommit().submit<Consumption>(
    {
      organizationId,
      key,
      apiKeyId: request.apiKeyId ?? null,
      now: request.now,
      decide(account, rateCard, at) {
        const event = rateAt(requireEvent(rateCard.events.get(eventName), eventName, at), account.state.overrides, at);
        const row = consume(account, { cost: costOf(event, quantity), event, quantity, cause, at });
        return { answer: consumptionOf(row, false), rowId: row.id };
      },
      replay(known) {
        return consumptionOf(known, true);
      },
    },
    REQUEST_BYTES + sizeOf(metadata),
  );
}

/** The answer to a take, from its row. */
export function consumptionOf(row: KnownRow | LedgerRow, replayed: boolean): Consumption {
  return {
    transactionId: row.id,
    consumed: -row.amount,
    available: row.availableAfter,
    allocations: row.entries.map((entry) => ({ grantId: entry.grantId, source: entry.source, amount: -entry.amount })),
    replayed,
  };
}

/** A key that a caller chose, with what the request means. */
export function callerKey(idempotencyKey: string, meaning: unknown): LedgerKey {
  return { space: "caller", key: idempotencyKey, requestHash: fingerprint(meaning) };
}

/** A key that Billfold makes from what causes a movement. */
export function billingKey(key: string): LedgerKey {
  return { space: "billing", key, requestHash: key };
}

/** The tags that were given; left out where there are none, so that they do not change the meaning of older requests. */
export function tagsOf(spender: Spender): { project?: string; memberId?: string } {
  return {
    ...(spender.project ? { project: spender.project } : {}),
    ...(spender.memberId ? { memberId: spender.memberId } : {}),
  };
}

export function causeOf(spender: Spender, key: LedgerKey, metadata?: Metadata): Cause {
  return {
    key,
    actor: spender.actor,
    apiKeyId: spender.apiKeyId ?? null,
    project: spender.project ?? null,
    memberId: spender.memberId ?? null,
    metadata: metadata ?? null,
  };
}

export function sizeOf(metadata: Metadata | undefined): number {
  return metadata === undefined ? 0 : JSON.stringify(metadata).length * 2;
}

export interface GrantRequest {
  organizationId: string;
  amount: Credits;
  source: "promotion" | "adjustment";
  expiresAt: Date | null;
  reason: string;
  idempotencyKey: string;
  actor: string;
  apiKeyId?: string | null;
  now: Date;
}

export interface Granted {
  transactionId: string;
  grantId: string;
  /** What could be spent right after it, and after it has paid what was owed. */
  available: number;
  replayed: boolean;
}

/**
 * Gives credits that nobody paid for, with a reason that stays in the ledger.
 * @throws BillingError INVALID_INPUT for an expiry that has passed, IDEMPOTENCY_CONFLICT, NOT_FOUND
 */
export function grantCredits(request: GrantRequest): Promise<Granted> {
  const { organizationId, amount, source, expiresAt, reason, now } = request;
  const key = callerKey(request.idempotencyKey, { operation: "grant", amount, source, expiresAt, reason });
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    const known = await findByKey(tx, organizationId, key);
    if (known) return grantedOf(tx, organizationId, known, true);
    if (expiresAt !== null && expiresAt <= now) {
      throw new BillingError("INVALID_INPUT", "The expiry must lie in the future.", { expiresAt });
    }
    const lot = newLot({ source, amount, expiresAt, label: reason }, now);
    const row = grant(account, lot, source, { ...causeOf(request, key), reason }, now);
    await saveAccounts(tx, [account]);
    await resolvePaidDebts(tx, account, now);
    return grantedOf(tx, organizationId, row, false);
  });
}

async function grantedOf(
  tx: Transaction,
  organizationId: string,
  row: KnownRow | LedgerRow,
  replayed: boolean,
): Promise<Granted> {
  const available = await availableAfterSettling(tx, organizationId, row);
  return { transactionId: row.id, grantId: row.entries[0]?.grantId ?? "", available, replayed };
}

/** A lot that is to be made; what is left out is null, and only promotions cannot be transferred. */
export type NewLot = Omit<LotToMake, "id" | "createdAt" | "transferable"> & { transferable?: boolean };

export function newLot(lot: NewLot, now: Date): LotToMake {
  return { transferable: lot.source !== "promotion", ...lot, id: newId(now), createdAt: now };
}

export interface PaidGrant {
  organizationId: string;
  /** The business key that makes it once: `allowance:<item>:<period start>:<slice>`, `checkout:<session>`. */
  businessKey: string;
  type: "grant" | "purchase";
  lot: NewLot;
  /** The row of the paid period that it is the allowance of. */
  allowanceId?: string;
  reason: string;
  now: Date;
}

/**
 * Grants what a payment or a trial entitles to, inside the caller's transaction. A grant of the same business key is left
 * as it is, whatever the catalogue says by now. What was taken back of its payment meanwhile is taken of it at once.
 * @returns the new lot; null where it was granted before
 */
export async function grantOnce(tx: Transaction, paid: PaidGrant): Promise<string | null> {
  const { organizationId, businessKey, allowanceId, now } = paid;
  const account = await lockAccount(tx, organizationId, now);
  const key: LedgerKey = { space: "billing", key: businessKey, requestHash: fingerprint(businessKey) };
  if (await findByKey(tx, organizationId, key)) return null;
  const lot = newLot(paid.lot, now);
  grant(account, lot, paid.type, { key, actor: "billfold", reason: paid.reason }, now);
  await saveAccounts(tx, [account]);
  if (allowanceId) {
    await tx.creditGrant.update({
      where: { organizationId_id: { organizationId, id: lot.id } },
      data: { allowanceId },
    });
  }
  await resolvePaidDebts(tx, account, now);
  await claimNewLots(tx, [organizationId], paid.lot, now);
  return lot.id;
}

/** Writes the expiry of the organization's lots whose time has come, a ledger row each. @returns how many */
export function expireLots(organizationId: string, now: Date): Promise<number> {
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    const count = expire(account, now);
    await saveAccounts(tx, [account]);
    return count;
  });
}

/** Organizations that have lots or holds whose end has come but is not in the ledger yet. */
export async function listOrganizationsWithDueLots(now: Date, limit: number): Promise<string[]> {
  const [rows] = await inOneExchange<[{ organization_id: string }]>(Prisma.sql`
    SELECT due.organization_id FROM (
      SELECT g.organization_id FROM credit_grants g
      WHERE g.open AND g.expires_at IS NOT NULL AND g.expires_at <= ${now}::timestamptz AND g.remaining > g.held
      UNION
      SELECT h.organization_id FROM credit_holds h WHERE h.open AND h.lease_ends_at <= ${now}::timestamptz
    ) due JOIN organizations o ON o.id = due.organization_id
    WHERE o.deleted_at IS NULL LIMIT ${limit}`);
  return rows.map((row) => row.organization_id);
}

/** What the organization has at this instant. @throws BillingError NOT_FOUND */
export async function getBalance(organizationId: string, now: Date): Promise<Balance> {
  const state =
    (await groupCommit().recallCurrent(organizationId, now)) ?? (await lookAtAccount(organizationId, now)).state;
  return balanceOf(state.lots, { held: toCredits(state.held), debt: toCredits(state.debt) }, now);
}

/** The account as it stands, holds whose lease is over left out, in one exchange with the database. @throws BillingError NOT_FOUND */
export async function lookAtAccount(organizationId: string, now: Date): Promise<Account> {
  const [row] = await ask<{ state: StoredAccount }>("SELECT state FROM ledger_look($1)", [organizationId]);
  const stored = row?.state;
  if (!stored || stored.deleted)
    throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
  const account = new Account(readAccount(stored), newTransactionId);
  endLeases(account, now);
  return account;
}
