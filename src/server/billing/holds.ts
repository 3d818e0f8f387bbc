// Holds: credits set aside for work of unknown cost, taken part by part, freed at its end. Which credits is decided by the
// rules of `src/domain`; gifts, which are held too, are none of this file's.
import { type Account, type AccountHold, type LedgerRow, ownCause } from "~/domain/account";
import type { Credits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { capture, extend, hold, release, requireOpenHold } from "~/domain/holds";
import { costOf, type PricedEvent, rateAt, requireEvent } from "~/domain/rate-card";
import { asOrganization, type Transaction } from "../db";
import { instantOfId, newId, seqOfTransactionId } from "../db/keys";
import {
  type Allocation,
  type Consumption,
  callerKey,
  causeOf,
  consumptionOf,
  lookAtAccount,
  type Metadata,
  type Spender,
  sizeOf,
  tagsOf,
} from "./credits";
import { groupCommit } from "./ledger/group-commit";
import type { KnownRow, RateCard } from "./ledger/load";
import { displayNames } from "./members";

/** Each take loads all that are open: a service that needs more at once has forgotten to end them. */
const MOST_OPEN_HOLDS = 10_000;
/** About what a request keeps in memory while it waits, beside its metadata. */
const REQUEST_BYTES = 500;

interface HoldAddress {
  organizationId: string;
  holdId: string;
  now: Date;
}

export interface HoldRequest extends Spender {
  organizationId: string;
  amount: Credits;
  /** How long the credits stay set aside unless the lease is extended. */
  leaseSeconds: number;
  /** What the work is counted as; a capture by quantity needs not name it again. */
  eventName: string | null;
  /** The caller's own key for this hold; the same one again holds nothing more and gives the first answer. */
  idempotencyKey: string;
  metadata?: Metadata | undefined;
  now: Date;
}

export interface Held {
  holdId: string;
  transactionId: string;
  amount: number;
  /** When the hold ends by itself; as it was said first, where the hold was extended since. */
  leaseEndsAt: Date;
  /** What could be spent right after the hold. */
  available: number;
  /** What is set aside of which lots, in the order in which it will be taken. */
  allocations: Allocation[];
  replayed: boolean;
}

/**
 * Sets credits aside for work whose cost is not known yet. They are not available to anybody else until they are taken or
 * released, or the lease ends.
 * @throws BillingError INSUFFICIENT_CREDITS `{ required, available }`, BUDGET_EXCEEDED, ACCOUNT_SUSPENDED, UNKNOWN_EVENT,
 *   INACTIVE_EVENT, IDEMPOTENCY_CONFLICT, INVALID_INPUT (too many open holds), NOT_FOUND (organization), OVERLOADED. Nothing
 *   is held then.
 */
export function holdCredits(request: HoldRequest): Promise<Held> {
  const { organizationId, amount, leaseSeconds, eventName, metadata } = request;
  const meaning = { operation: "hold", amount, leaseSeconds, eventName, metadata: metadata ?? {}, ...tagsOf(request) };
  const key = callerKey(request.idempotencyKey, meaning);
  const cause = causeOf(request, key, metadata);
  const id = newId(request.now);
  return groupCommit().submit<Held>(
    {
      organizationId,
      key,
      apiKeyId: request.apiKeyId ?? null,
      now: request.now,
      decide(account, rateCard, at) {
        if (eventName !== null) requireEvent(rateCard.events.get(eventName), eventName, at);
        requireRoomForHold(account);
        const leaseEndsAt = leaseFrom(account.rowInstant(at), leaseSeconds);
        const row = hold(account, { id, kind: "work", amount, leaseEndsAt, eventName, cause, at });
        return { answer: heldOf(row, leaseSeconds, false), rowId: row.id };
      },
      replay: (known) => heldOf(known, leaseSeconds, true),
    },
    REQUEST_BYTES + sizeOf(metadata),
  );
}

function requireRoomForHold(account: Account): void {
  if (account.state.holds.size < MOST_OPEN_HOLDS) return;
  throw new BillingError("INVALID_INPUT", `There are ${MOST_OPEN_HOLDS} open holds already. Release some first.`);
}

function leaseFrom(at: Date, leaseSeconds: number): Date {
  return new Date(at.getTime() + leaseSeconds * 1000);
}

/** The answer to a hold, from its row alone: later captures, extensions and its end do not change it. */
function heldOf(row: KnownRow | LedgerRow, leaseSeconds: number, replayed: boolean): Held {
  return {
    holdId: row.holdId ?? "",
    transactionId: row.id,
    amount: row.held,
    leaseEndsAt: leaseFrom(instantOfId(row.id), leaseSeconds),
    available: row.availableAfter,
    allocations: row.entries.map((entry) => ({ grantId: entry.grantId, source: entry.source, amount: entry.held })),
    replayed,
  };
}

export interface CaptureRequest extends Spender, HoldAddress {
  /** Credits, or units of an event: the hold's own where none is named. */
  used: { amount: Credits } | { quantity: number; eventName: string | null };
  idempotencyKey: string;
  metadata?: Metadata | undefined;
  /** Whether this is the last part: what is left is freed at once. */
  release: boolean;
}

export interface Captured extends Consumption {
  holdId: string;
  /** What was still set aside after it. */
  remaining: number;
}

/**
 * Takes what a part of the work has cost: from the hold, and what goes beyond it from what is free.
 * @throws BillingError HOLD_ENDED `{ holdId, reason, endedAt, captured, released }`, INSUFFICIENT_CREDITS where hold and free
 *   credits together do not cover it, BUDGET_EXCEEDED for the part beyond, UNKNOWN_EVENT, INACTIVE_EVENT (not for the hold's
 *   own), IDEMPOTENCY_CONFLICT, INVALID_INPUT, NOT_FOUND, OVERLOADED. Nothing is taken then.
 */
export async function captureHold(request: CaptureRequest): Promise<Captured> {
  const { organizationId, holdId, used, metadata } = request;
  const meaning = { operation: "capture", holdId, ...used, release: request.release, metadata: metadata ?? {} };
  const key = callerKey(request.idempotencyKey, meaning);
  const cause = causeOf(request, key, metadata);
  const captured = groupCommit().submit<Captured | Replayed>(
    {
      organizationId,
      key,
      apiKeyId: request.apiKeyId ?? null,
      now: request.now,
      decide(account, rateCard, at) {
        const held = requireOpenHold(account, holdId, at);
        const row = capture(account, { holdId, ...priceOf(used, held, account, rateCard, at), cause, at });
        const answer = { ...consumptionOf(row, false), holdId, remaining: held.remaining };
        if (request.release) {
          const rows = account.rows.length;
          release(account, holdId, releaseCause(account, request), at);
          answer.remaining = 0;
          answer.available = account.rows.slice(rows).find(isRelease)?.availableAfter ?? answer.available;
        }
        return { answer, rowId: row.id };
      },
      replay: (known) => ({ ...consumptionOf(known, true), holdId, remaining: null }),
    },
    REQUEST_BYTES + sizeOf(metadata),
  );
  const answer = await captured.catch((error) => explainEnd(request, error));
  return answer.remaining === null ? firstAnswer(request, answer) : { ...answer, remaining: answer.remaining };
}

type Replayed = Consumption & { holdId: string; remaining: null };

function isRelease(row: LedgerRow): boolean {
  return row.type === "release";
}

/** What a part costs, and as what it is counted. */
function priceOf(
  used: CaptureRequest["used"],
  held: AccountHold,
  account: Account,
  rateCard: RateCard,
  at: Date,
): { cost: Credits; event: PricedEvent | null; quantity: number | null } {
  const eventName = "quantity" in used ? (used.eventName ?? held.eventName) : held.eventName;
  const event = eventName === null ? undefined : rateCard.events.get(eventName);
  if ("amount" in used) {
    return { cost: used.amount, event: event ? rateAt(event, account.state.overrides, at) : null, quantity: null };
  }
  if (eventName === null) throw new BillingError("INVALID_INPUT", "Name the event: the hold was made without one.");
  // Work that was begun while its event was on is counted to its end.
  const known = event && eventName === held.eventName ? event : requireEvent(event, eventName, at);
  const priced = rateAt(known, account.state.overrides, at);
  return { cost: costOf(priced, used.quantity), event: priced, quantity: used.quantity };
}

/** What a capture answered first: the parts of the answer that are in other rows than its own. */
async function firstAnswer(request: CaptureRequest, { remaining: _, ...answer }: Replayed): Promise<Captured> {
  const { organizationId, holdId } = request;
  const seq = seqOfTransactionId(answer.transactionId);
  const [row] = await asOrganization(
    organizationId,
    (tx) =>
      tx.$queryRaw<{ remaining: bigint; released: bigint | null }[]>`
        SELECT coalesce(sum(held) FILTER (WHERE seq <= ${seq}::bigint), 0)::bigint AS remaining,
               max(available_after) FILTER (WHERE type = 'release') AS released
        FROM credit_transactions WHERE organization_id = ${organizationId}::uuid AND hold_id = ${holdId}::uuid`,
  );
  if (!request.release) return { ...answer, remaining: Number(row?.remaining ?? 0n) };
  return { ...answer, remaining: 0, available: Number(row?.released ?? answer.available) };
}

export interface ExtendRequest extends Spender, HoldAddress {
  /** From now on; a lease is never made shorter. */
  leaseSeconds: number;
}

/** Keeps a hold for longer. Needs no key: doing it again does no harm. @throws BillingError HOLD_ENDED, NOT_FOUND, OVERLOADED */
export function extendHold(request: ExtendRequest): Promise<{ holdId: string; leaseEndsAt: Date }> {
  const { organizationId, holdId, leaseSeconds } = request;
  return groupCommit()
    .submit(
      {
        organizationId,
        key: null,
        apiKeyId: request.apiKeyId ?? null,
        now: request.now,
        decide(account, _, at) {
          requireOpenHold(account, holdId, at);
          const { leaseEndsAt } = extend(account, holdId, leaseFrom(at, leaseSeconds), at);
          return { answer: { holdId, leaseEndsAt }, rowId: null };
        },
        replay: neverReplayed,
      },
      REQUEST_BYTES,
    )
    .catch((error) => explainEnd(request, error));
}

export interface Released {
  holdId: string;
  /** What of the hold became free, at once or when it ended, and what was taken of it. */
  released: number;
  captured: number;
  /** What can be spent now. */
  available: number;
}

/**
 * Frees what is left of a hold. Of one that has ended already it says what became of it.
 * @throws BillingError NOT_FOUND, OVERLOADED
 */
export async function releaseHold(request: Spender & HoldAddress): Promise<Released> {
  const { organizationId, holdId } = request;
  const released = groupCommit().submit<Released>(
    {
      organizationId,
      key: null,
      apiKeyId: request.apiKeyId ?? null,
      now: request.now,
      decide(account, _, at) {
        requireOpenHold(account, holdId, at);
        const { amount, captured } = release(account, holdId, releaseCause(account, request), at);
        const answer = { holdId, released: amount - captured, captured, available: account.available(at) };
        return { answer, rowId: null };
      },
      replay: neverReplayed,
    },
    REQUEST_BYTES,
  );
  return released.catch(async (error) => {
    if (!isHoldEnded(error)) throw error;
    const { amount, captured } = await getHold(organizationId, holdId, request.now);
    const account = await lookAtAccount(organizationId, request.now);
    return { holdId, released: amount - captured, captured, available: account.available(request.now) };
  });
}

function neverReplayed(): never {
  throw new Error("what has no key is not replayed");
}

function releaseCause(account: Account, { holdId, ...spender }: Spender & HoldAddress) {
  const { actor, apiKeyId = null } = spender;
  return ownCause(account, `release:${holdId}`, { actor, apiKeyId });
}

function noSuchHold(holdId: string): BillingError {
  return new BillingError("NOT_FOUND", "There is no such hold.", { holdId });
}

function isHoldEnded(error: unknown): error is BillingError {
  return error instanceof BillingError && error.code === "HOLD_ENDED";
}

/** An account knows its open holds only: whether there ever was such a hold, and what became of it, is in the table. */
async function explainEnd({ organizationId, holdId, now }: HoldAddress, error: unknown): Promise<never> {
  if (!isHoldEnded(error)) throw error;
  const { status, endedAt, leaseEndsAt, amount, captured } = await getHold(organizationId, holdId, now);
  const reason = status === "released" ? "released" : "lease_ended";
  const message = reason === "released" ? "The hold was released." : "The hold's lease has ended.";
  throw new BillingError("HOLD_ENDED", message, {
    holdId,
    reason,
    endedAt: endedAt ?? leaseEndsAt,
    captured,
    released: amount - captured,
  });
}

export interface HoldRow {
  holdId: string;
  status: "open" | "released" | "lease_ended";
  amount: number;
  captured: number;
  /** Still set aside. */
  remaining: number;
  eventName: string | null;
  project: string | null;
  memberId: string | null;
  /** The key that holds, and the member on whose behalf; null where there is none, or a member who is gone. */
  apiKeyName: string | null;
  memberName: string | null;
  actor: string;
  createdAt: Date;
  leaseEndsAt: Date;
  endedAt: Date | null;
}

/** A hold, open or ended. @throws BillingError NOT_FOUND */
export async function getHold(organizationId: string, holdId: string, now: Date): Promise<HoldRow> {
  return asOrganization(organizationId, async (tx) => {
    const row = await tx.creditHold.findFirst({ where: { organizationId, id: holdId, kind: "work" } });
    if (!row) throw noSuchHold(holdId);
    return toHoldRow(row, await holderNames(tx, [row]), now);
  });
}

/** The open holds, newest first. The cursor is the id of the last one of the page before. */
export function listHolds(query: {
  organizationId: string;
  cursor: string | null;
  limit: number;
  now: Date;
}): Promise<{ items: HoldRow[]; nextCursor: string | null }> {
  const { organizationId, cursor, limit, now } = query;
  return asOrganization(organizationId, async (tx) => {
    const rows = await tx.creditHold.findMany({
      where: {
        organizationId,
        open: true,
        kind: "work",
        leaseEndsAt: { gt: now },
        ...(cursor === null ? {} : { id: { lt: cursor } }),
      },
      orderBy: { id: "desc" },
      take: limit + 1,
    });
    const page = rows.slice(0, limit);
    const names = await holderNames(tx, page);
    const items = page.map((row) => toHoldRow(row, names, now));
    return { items, nextCursor: rows.length > limit ? (items.at(-1)?.holdId ?? null) : null };
  });
}

interface HolderNames {
  keys: ReadonlyMap<string, string>;
  members: Pick<ReadonlyMap<string | null, string>, "get">;
}

async function holderNames(tx: Transaction, holds: readonly StoredHold[]): Promise<HolderNames> {
  const keyIds = [...new Set(holds.flatMap(({ apiKeyId }) => apiKeyId ?? []))];
  const memberIds = [...new Set(holds.map(({ memberId }) => memberId))];
  const keys = await tx.apiKey.findMany({ where: { id: { in: keyIds } }, select: { id: true, name: true } });
  return { keys: new Map(keys.map(({ id, name }) => [id, name])), members: await displayNames(tx, memberIds) };
}

interface StoredHold {
  id: string;
  amount: bigint;
  captured: bigint;
  remaining: bigint;
  open: boolean;
  eventName: string | null;
  project: string | null;
  memberId: string | null;
  apiKeyId: string | null;
  actor: string;
  createdAt: Date;
  leaseEndsAt: Date;
  endedAt: Date | null;
}

function toHoldRow(row: StoredHold, names: HolderNames, now: Date): HoldRow {
  const { eventName, project, memberId, actor, createdAt, leaseEndsAt } = row;
  // A lease that is over counts from its instant on, whether or not its end is in the ledger yet.
  const isOpen = row.open && leaseEndsAt > now;
  const endedAt = isOpen ? null : (row.endedAt ?? leaseEndsAt);
  const status = endedAt === null ? "open" : endedAt < leaseEndsAt ? "released" : "lease_ended";
  return {
    holdId: row.id,
    status,
    amount: Number(row.amount),
    captured: Number(row.captured),
    remaining: isOpen ? Number(row.remaining) : 0,
    eventName,
    project,
    memberId,
    apiKeyName: row.apiKeyId === null ? null : (names.keys.get(row.apiKeyId) ?? null),
    memberName: names.members.get(memberId) ?? null,
    actor,
    createdAt,
    leaseEndsAt,
    endedAt,
  };
}
