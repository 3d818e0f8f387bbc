// Spending, granting and expiring credits: load the account under its lock, decide by the pure rule, append to the ledger.
import {
  allocate,
  type Balance,
  balanceOf,
  type Credits,
  costOf,
  type GrantSource,
  isUsable,
  toCredits,
} from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asOrganization, asPlatform, type Prisma, type Transaction } from "../db";
import { fingerprint } from "../db/keys";
import { findByKey, type LedgerKey, loadOpenLots, lockAccount, type NewLot, postGrant, postMovement } from "./ledger";

export interface ConsumeRequest {
  organizationId: string;
  eventName: string;
  /** Units of the event; a positive whole number. */
  quantity: number;
  /** The caller's own key for this unit of work; the same one again takes nothing and gives the first answer. */
  idempotencyKey: string;
  metadata?: Prisma.InputJsonObject | undefined;
  actor: string;
  apiKeyId?: string | null;
  now: Date;
}

export interface Consumption {
  transactionId: string;
  consumed: Credits;
  /** What could be spent right after the take. */
  available: Credits;
  allocations: { grantId: string; source: GrantSource; amount: Credits }[];
  replayed: boolean;
}

/**
 * Takes what a quantity of an event costs, from the organization's lots in burn order.
 * @throws BillingError INSUFFICIENT_CREDITS `{ required, available }`, UNKNOWN_EVENT, INACTIVE_EVENT, IDEMPOTENCY_CONFLICT,
 *   INVALID_INPUT (cost beyond a safe integer), NOT_FOUND (organization). Nothing is taken then.
 */
export function consumeCredits(request: ConsumeRequest): Promise<Consumption> {
  const { organizationId, eventName, quantity, now } = request;
  const key: LedgerKey = {
    space: "caller",
    key: request.idempotencyKey,
    requestHash: fingerprint({ operation: "consume", eventName, quantity, metadata: request.metadata ?? {} }),
  };
  return asOrganization(organizationId, async (tx) => {
    const account = await lockAccount(tx, organizationId);
    const known = await findByKey(tx, organizationId, key);
    if (known) {
      return {
        transactionId: known.id,
        consumed: toCredits(-known.amount),
        available: known.availableAfter,
        allocations: known.allocations,
        replayed: true,
      };
    }
    const event = await loadEvent(tx, organizationId, eventName);
    const lots = await loadOpenLots(tx, organizationId);

    const cost = costOf(event.unitCost, quantity);
    const allocations = allocate(lots, cost, account.held, account.burnOrder, now);

    const posted = await postMovement(tx, account, lots, {
      type: "consume",
      key,
      entries: allocations.map(({ grantId, amount }) => ({ grantId, amount: -amount })),
      event: { ...event, quantity },
      actor: request.actor,
      apiKeyId: request.apiKeyId ?? null,
      metadata: request.metadata ?? null,
      at: now,
    });
    return {
      transactionId: posted.id,
      consumed: cost,
      available: posted.availableAfter,
      allocations,
      replayed: false,
    };
  });
}

interface PricedEvent {
  id: string;
  name: string;
  version: number;
  unitCost: Credits;
}

async function loadEvent(tx: Transaction, organizationId: string, eventName: string): Promise<PricedEvent> {
  const [row] = await tx.$queryRaw<{ id: string; version: number; active: boolean; cost: bigint }[]>`
    SELECT e.id, e.version, e.active, coalesce(o.cost, e.cost) AS cost
    FROM credit_events e
    LEFT JOIN credit_event_overrides o ON o.event_id = e.id AND o.organization_id = ${organizationId}::uuid
    WHERE e.name = ${eventName}`;
  if (!row) throw new BillingError("UNKNOWN_EVENT", `There is no event "${eventName}".`, { eventName });
  if (!row.active) throw new BillingError("INACTIVE_EVENT", `The event "${eventName}" is not active.`, { eventName });
  return { id: row.id, name: eventName, version: row.version, unitCost: toCredits(row.cost) };
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
  available: Credits;
  replayed: boolean;
}

/**
 * Gives credits that nobody paid for, with a reason that stays in the ledger.
 * @throws BillingError INVALID_INPUT for an expiry that has passed, IDEMPOTENCY_CONFLICT, NOT_FOUND
 */
export function grantCredits(request: GrantRequest): Promise<Granted> {
  const { organizationId, amount, source, expiresAt, reason, now } = request;
  const key: LedgerKey = {
    space: "caller",
    key: request.idempotencyKey,
    requestHash: fingerprint({ operation: "grant", amount, source, expiresAt, reason }),
  };
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId);
    const known = await findByKey(tx, organizationId, key);
    if (known) return replayedGrant(known);
    if (expiresAt !== null && expiresAt <= now) {
      throw new BillingError("INVALID_INPUT", "The expiry must lie in the future.", { expiresAt });
    }
    const lots = await loadOpenLots(tx, organizationId);
    const lot: NewLot = { source, amount, expiresAt, label: reason };
    const posted = await postGrant(tx, account, lots, lot, {
      type: source,
      key,
      reason,
      actor: request.actor,
      apiKeyId: request.apiKeyId ?? null,
      at: now,
    });
    return {
      transactionId: posted.id,
      grantId: posted.grantId,
      available: posted.availableAfter,
      replayed: false,
    };
  });
}

function replayedGrant(known: NonNullable<Awaited<ReturnType<typeof findByKey>>>): Granted {
  return {
    transactionId: known.id,
    grantId: known.allocations[0]?.grantId ?? "",
    available: known.availableAfter,
    replayed: true,
  };
}

export interface PaidGrant {
  organizationId: string;
  /** The business key that makes it once: `allowance:<item>:<period start>:<slice>`, `checkout:<session>`. */
  businessKey: string;
  type: "grant" | "purchase";
  lot: NewLot;
  reason: string;
  now: Date;
}

/**
 * Grants what a payment or a trial entitles to, inside the caller's transaction. A grant of the same business key is left
 * as it is, whatever the catalogue says by now.
 * @returns whether something was granted
 */
export async function grantOnce(tx: Transaction, grant: PaidGrant): Promise<boolean> {
  const account = await lockAccount(tx, grant.organizationId);
  const key: LedgerKey = {
    space: "billing",
    key: grant.businessKey,
    requestHash: fingerprint(grant.businessKey),
  };
  if (await findByKey(tx, grant.organizationId, key)) return false;
  const lots = await loadOpenLots(tx, grant.organizationId);
  await postGrant(tx, account, lots, grant.lot, {
    type: grant.type,
    key,
    reason: grant.reason,
    actor: "billfold",
    at: grant.now,
  });
  return true;
}

/** Writes the expiry of the organization's lots whose time has come, a ledger row each. @returns how many */
export function expireLots(organizationId: string, now: Date): Promise<number> {
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId);
    let lots = await loadOpenLots(tx, organizationId);
    const due = lots.filter((lot) => !isUsable(lot, now));
    for (const lot of due) {
      await postMovement(tx, account, lots, {
        type: "expiry",
        key: { space: "billing", key: `expiry:${lot.id}`, requestHash: fingerprint(lot.id) },
        entries: [{ grantId: lot.id, amount: -lot.remaining }],
        reason: `${lot.label}: expired`,
        actor: "billfold",
        at: now,
      });
      lots = lots.filter((other) => other.id !== lot.id);
    }
    return due.length;
  });
}

/** Organizations that have lots whose expiry has come but is not in the ledger yet. */
export function listOrganizationsWithDueLots(now: Date, limit: number): Promise<string[]> {
  return asPlatform(async (tx) => {
    const rows = await tx.$queryRaw<{ organization_id: string }[]>`
      SELECT DISTINCT g.organization_id FROM credit_grants g JOIN organizations o ON o.id = g.organization_id
      WHERE g.open AND g.expires_at IS NOT NULL AND g.expires_at <= ${now}::timestamptz AND o.deleted_at IS NULL LIMIT ${limit}`;
    return rows.map((row) => row.organization_id);
  });
}

/** What the organization has at this instant. @throws BillingError NOT_FOUND */
export function getBalance(organizationId: string, now: Date): Promise<Balance> {
  return asOrganization(organizationId, async (tx) => {
    const account = await tx.creditAccount.findUnique({ where: { organizationId } });
    if (!account) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    return balanceOf(await loadOpenLots(tx, organizationId), toCredits(account.held), now);
  });
}
