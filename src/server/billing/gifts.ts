// Gifts: credits that wait behind a link until somebody claims them for an organization. Until then they are held in the
// giver's own lots, so they can be neither spent nor given twice, and come free by themselves when nobody comes.
import { createHmac } from "node:crypto";
import type { Account } from "~/domain/account";
import { can } from "~/domain/capabilities";
import type { Credits } from "~/domain/credits";
import { BillingError, invariant } from "~/domain/errors";
import { hold } from "~/domain/holds";
import { isSpendable } from "~/domain/spending";
import { endGift, findOpenGift, isGiftGood, pickTransferable, takeGift, transferableCredits } from "~/domain/transfers";
import type { Actor } from "../auth/actor";
import { asPlatform, Prisma, type Transaction } from "../db";
import { newId, sha256 } from "../db/keys";
import { env, publicUrl } from "../env";
import { billingKey, callerKey, lookAtAccount } from "./credits";
import { findByKey, lockAccount, lockAccounts, saveAccounts } from "./ledger/accounts";
import { availableAfterSettling } from "./ledger/settling";
import { lotsOf, organizationNames, type ReceivedLot, receivedLots, receiveParts, saveMoved } from "./transfers";

const DAY_MS = 24 * 60 * 60 * 1000;
const USUAL_DAYS = 30;
export const MOST_GIFT_DAYS = 90;
/** Each is read with the account whenever it spends. */
const MOST_OPEN = 50;
const MOST_LISTED = 50;

/** `withdrawn`: it ended by itself, because a refund, a dispute or a debt had a better right to its credits. */
export type GiftState = "open" | "claimed" | "cancelled" | "expired" | "withdrawn";

export interface CreatedGift {
  id: string;
  /** The ledger's row that set the credits aside. */
  transactionId: string;
  amount: number;
  /** Until when it can be claimed: what was asked for, or earlier, when the first of its credits expire. */
  expiresAt: Date;
  /** Whoever has it can claim the gift. It is not kept: null in a replay after the server's secret has changed. */
  link: string | null;
  available: number;
  replayed: boolean;
}

/**
 * Sets credits aside for whoever opens the link.
 * @param request.expiresAt until when it can be claimed, 90 days at most; null for 30 days
 * @throws BillingError INSUFFICIENT_CREDITS `{ required, available, transferable }`, INVALID_INPUT (expiry, too many open gifts),
 *   ACCOUNT_SUSPENDED, PAYMENT_OVERDUE, IDEMPOTENCY_CONFLICT, NOT_FOUND
 */
export function createGift(request: {
  organizationId: string;
  amount: Credits;
  message: string | null;
  expiresAt: Date | null;
  idempotencyKey: string;
  actor: string;
  apiKeyId: string | null;
  now: Date;
}): Promise<CreatedGift> {
  const { organizationId, amount, message, expiresAt, actor, apiKeyId, now } = request;
  const key = callerKey(request.idempotencyKey, { operation: "gift", amount, message, expiresAt });
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    const known = await findByKey(tx, organizationId, key);
    if (known) {
      const gift = await tx.creditGift.findFirst({ where: { organizationId, holdId: known.holdId ?? "" } });
      invariant(gift, "a gift's hold belongs to a gift");
      const token = tokenOf(gift.id);
      return {
        id: gift.id,
        transactionId: known.id,
        amount: Number(gift.amount),
        expiresAt: gift.expiresAt,
        link: sha256(token) === gift.tokenHash ? linkOf(token) : null,
        available: known.availableAfter,
        replayed: true,
      };
    }
    requireRoom(account);
    const parts = pickTransferable(account, amount, now);
    const ends = parts.map(({ lot }) => lot.expiresAt).filter((at) => at !== null);
    const leaseEndsAt = earliest([requireExpiry(expiresAt, now), ...ends]);
    const id = newId(now);
    const holdId = newId(now);
    const token = tokenOf(id);
    const row = hold(
      account,
      {
        id: holdId,
        kind: "gift",
        amount,
        leaseEndsAt,
        eventName: null,
        cause: { key, actor, apiKeyId, reason: message ? `Gift: ${message}` : "Gift, until it is claimed" },
        at: now,
      },
      parts,
    );
    await saveAccounts(tx, [account]);
    await tx.creditGift.create({
      data: {
        id,
        organizationId,
        holdId,
        amount: BigInt(amount),
        tokenHash: sha256(token),
        message,
        createdBy: actor,
        createdAt: now,
        expiresAt: leaseEndsAt,
      },
    });
    return {
      id,
      transactionId: row.id,
      amount,
      expiresAt: leaseEndsAt,
      link: linkOf(token),
      available: row.availableAfter,
      replayed: false,
    };
  });
}

/** Only its hash is stored. Made from the server's secret, so that a request that is repeated gets the link that it was given. */
function tokenOf(giftId: string): string {
  return createHmac("sha256", env().NEXTAUTH_SECRET).update(`gift:${giftId}`).digest("base64url");
}

function linkOf(token: string): string {
  return publicUrl(`/gifts/${token}`);
}

function requireRoom(account: Account): void {
  const open = [...account.state.holds.values()].filter((held) => held.open && held.kind === "gift").length;
  if (open < MOST_OPEN) return;
  throw new BillingError("INVALID_INPUT", `There are ${MOST_OPEN} open gifts already. Cancel some first.`);
}

function requireExpiry(expiresAt: Date | null, now: Date): Date {
  if (expiresAt === null) return new Date(now.getTime() + USUAL_DAYS * DAY_MS);
  const latest = new Date(now.getTime() + MOST_GIFT_DAYS * DAY_MS);
  if (expiresAt > now && expiresAt <= latest) return expiresAt;
  throw new BillingError("INVALID_INPUT", `A gift must end in the future, within ${MOST_GIFT_DAYS} days.`, {
    expiresAt,
    latest,
  });
}

function earliest(instants: Date[]): Date {
  return new Date(Math.min(...instants.map((at) => at.getTime())));
}

export interface Gift {
  id: string;
  amount: number;
  message: string | null;
  state: GiftState;
  createdAt: Date;
  expiresAt: Date;
  claimedAt: Date | null;
  /** The organization that has it. */
  claimedBy: string | null;
}

/** The organization's gifts, newest first, and what it could still give. @throws BillingError NOT_FOUND */
export async function listGifts(organizationId: string, now: Date): Promise<{ transferable: number; gifts: Gift[] }> {
  const account = await lookAtAccount(organizationId, now);
  const gifts = await asPlatform(async (tx) => {
    const rows = await tx.$queryRaw<StoredGift[]>`
      ${SELECT_GIFTS} WHERE g.organization_id = ${organizationId}::uuid
      ORDER BY g.created_at DESC, g.id DESC LIMIT ${MOST_LISTED}`;
    const names = await organizationNames(
      tx,
      rows.map((row) => row.claimedOrganizationId).filter((id) => id !== null),
    );
    return rows.map((row) => ({
      id: row.id,
      amount: Number(row.amount),
      message: row.message,
      state: stateOf(row, now),
      createdAt: row.createdAt,
      expiresAt: row.expiresAt,
      claimedAt: row.claimedAt,
      claimedBy: row.claimedOrganizationId === null ? null : (names.get(row.claimedOrganizationId) ?? null),
    }));
  });
  return { transferable: transferableCredits(account, now), gifts };
}

/**
 * Takes a gift back: its link stops working, its credits are free again. Cancelling again changes nothing.
 * @throws BillingError NOT_FOUND, GIFT_NOT_VALID `{ reason: "claimed" }`
 */
export function cancelGift(request: {
  organizationId: string;
  giftId: string;
  actor: string;
  apiKeyId: string | null;
  now: Date;
}): Promise<{ id: string; state: GiftState; available: number }> {
  const { organizationId, giftId, actor, apiKeyId, now } = request;
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    const gift = await tx.creditGift.findFirst({ where: { id: giftId, organizationId } });
    if (!gift) throw new BillingError("NOT_FOUND", "There is no such gift.", { giftId });
    if (gift.claimedAt) throw notValid("claimed", "This gift was claimed already.");
    const held = findOpenGift(account, gift.holdId, now);
    if (held) {
      const cause = { key: billingKey(`gift:${giftId}:cancelled`), actor, apiKeyId, reason: "The gift was taken back" };
      endGift(account, held, cause, now);
      await tx.creditGift.update({ where: { id: giftId }, data: { cancelledAt: now } });
    }
    // Saved in any case: a lease that was over has been ended on the way.
    await saveAccounts(tx, [account]);
    const state = held ? "cancelled" : stateOf({ ...gift, open: false }, now);
    return { id: giftId, state, available: account.available(now) };
  });
}

export interface OfferedGift {
  /** The giver's name. */
  from: string;
  amount: number;
  message: string | null;
  expiresAt: Date;
  state: GiftState;
  /** What it consists of, while it is open: credits that expire do so for the receiver too. */
  lots: { amount: number; expiresAt: Date | null }[];
  /** Where whoever looks may claim it; empty for somebody who is not signed in. */
  claimableFor: { id: string; name: string; slug: string }[];
}

/** What a link offers, for whoever holds it. @throws BillingError GIFT_NOT_VALID `{ reason: "unknown" }` for a link that leads nowhere */
export function lookAtGift(token: string, viewer: Actor | null, now: Date): Promise<OfferedGift> {
  return asPlatform(async (tx) => {
    const gift = await getByToken(tx, token);
    const state = stateOf(gift, now);
    const names = await organizationNames(tx, [gift.organizationId]);
    return {
      from: names.get(gift.organizationId) ?? "",
      amount: Number(gift.amount),
      message: gift.message,
      expiresAt: gift.expiresAt,
      state,
      lots: state === "open" ? await lotsInside(tx, gift) : [],
      claimableFor: viewer?.kind === "person" ? await claimableFor(tx, viewer.userId, gift.organizationId) : [],
    };
  });
}

async function lotsInside(tx: Transaction, gift: StoredGift): Promise<OfferedGift["lots"]> {
  const rows = await tx.$queryRaw<{ amount: bigint; expiresAt: Date | null }[]>`
    SELECT sum((part.value ->> 1)::bigint)::bigint AS amount, g.expires_at AS "expiresAt"
    FROM credit_holds h
    CROSS JOIN jsonb_array_elements(h.lots) AS part
    JOIN credit_grants g ON g.organization_id = h.organization_id AND g.id = (part.value ->> 0)::uuid
    WHERE h.organization_id = ${gift.organizationId}::uuid AND h.id = ${gift.holdId}::uuid
    GROUP BY g.expires_at ORDER BY g.expires_at NULLS LAST`;
  return rows.map((row) => ({ amount: Number(row.amount), expiresAt: row.expiresAt }));
}

async function claimableFor(tx: Transaction, userId: string, giverId: string): Promise<OfferedGift["claimableFor"]> {
  const memberships = await tx.membership.findMany({
    where: { userId, organizationId: { not: giverId }, organization: { deletedAt: null } },
    select: { role: true, organization: { select: { id: true, name: true, slug: true } } },
    orderBy: [{ organization: { name: "asc" } }, { organizationId: "asc" }],
  });
  return memberships.filter(({ role }) => can(role, "billing:manage")).map(({ organization }) => organization);
}

export interface ClaimedGift {
  /** The receiver's row. */
  transactionId: string;
  organizationId: string;
  slug: string;
  amount: number;
  available: number;
  lots: ReceivedLot[];
  replayed: boolean;
}

/**
 * Takes a gift for an organization, whoever of its members asks; that they may act for it was checked before. Claiming again
 * for the same organization gives the first answer.
 * @throws BillingError GIFT_NOT_VALID, with why, for a link that leads nowhere, a gift that was claimed by another, cancelled,
 *   not claimed in time or withdrawn, for the giver itself, and while the giver may not spend (it can be claimed after that);
 *   NOT_FOUND
 */
export async function claimGift(request: {
  token: string;
  organizationId: string;
  actor: string;
  now: Date;
}): Promise<ClaimedGift> {
  const { token, organizationId, actor, now } = request;
  const claimed = await asPlatform(async (tx) => {
    const { organizationId: giverId } = await getByToken(tx, token);
    if (giverId === organizationId) {
      throw notValid("own", "This gift is from this organization. Cancel it to have its credits back.");
    }
    const [giver, receiver] = await lockAccounts(tx, [giverId, organizationId], now);
    invariant(giver && receiver, "two accounts were locked");
    // Again, now that nobody else can claim or cancel it.
    const gift = await getByToken(tx, token);
    const { slug } = await tx.organization.findUniqueOrThrow({ where: { id: organizationId }, select: { slug: true } });
    const key = billingKey(`gift:${gift.id}`);
    if (gift.claimedOrganizationId === organizationId) {
      const row = await findByKey(tx, organizationId, key);
      invariant(row, "a gift that was claimed was received");
      const lots = await receivedLots(tx, organizationId, row);
      const { id: transactionId, amount } = row;
      const available = await availableAfterSettling(tx, organizationId, row);
      return { transactionId, organizationId, slug, amount, available, lots, replayed: true };
    }
    const state = stateOf(gift, now);
    if (state !== "open") throw notValid(state, WHY_NOT[state]);
    const held = findOpenGift(giver, gift.holdId, now);
    invariant(held, "an open gift has its hold");
    if (!isGiftGood(giver, held, now)) {
      const reason = "The gift was withdrawn: a refund, a dispute or a debt has a better right to its credits";
      endGift(giver, held, { key: billingKey(`gift:${gift.id}:withdrawn`), actor: "billfold", reason }, now);
      await saveAccounts(tx, [giver]);
      return null;
    }
    // It passes, so the gift is not ended: whoever comes after it has what was given.
    if (!isSpendable(giver, now)) throw notValid("suspended", SUSPENDED);
    const names = await organizationNames(tx, [giverId, organizationId]);
    const said = message(gift.message);
    const { parts } = takeGift(
      giver,
      held,
      { key, actor, reason: `Gift to ${names.get(organizationId)}${said}`, reference: organizationId },
      now,
    );
    const row = await receiveParts(tx, {
      giver,
      giverName: names.get(giverId) ?? "",
      receiver,
      parts,
      cause: { key, actor, reason: `Gift from ${names.get(giverId)}${said}`, reference: giverId },
      now,
    });
    await saveMoved(tx, giver, receiver, row, now);
    await tx.creditGift.update({
      where: { id: gift.id },
      data: { claimedAt: now, claimedBy: actor, claimedOrganizationId: organizationId },
    });
    const { id: transactionId, amount } = row;
    return {
      transactionId,
      organizationId,
      slug,
      amount,
      available: await availableAfterSettling(tx, organizationId, row),
      lots: lotsOf(row),
      replayed: false,
    };
  });
  // After the commit, so that what was set aside for it is free.
  if (claimed === null) throw notValid("withdrawn", WHY_NOT.withdrawn);
  return claimed;
}

function message(text: string | null): string {
  return text ? `: ${text}` : "";
}

interface StoredGift {
  id: string;
  organizationId: string;
  holdId: string;
  amount: bigint;
  message: string | null;
  createdAt: Date;
  expiresAt: Date;
  claimedAt: Date | null;
  claimedOrganizationId: string | null;
  cancelledAt: Date | null;
  /** Whether its hold is open. */
  open: boolean;
}

const SELECT_GIFTS = Prisma.sql`
  SELECT g.id, g.organization_id AS "organizationId", g.hold_id AS "holdId", g.amount, g.message, g.created_at AS "createdAt",
    g.expires_at AS "expiresAt", g.claimed_at AS "claimedAt", g.claimed_organization_id AS "claimedOrganizationId",
    g.cancelled_at AS "cancelledAt", h.open
  FROM credit_gifts g
  JOIN credit_holds h ON h.organization_id = g.organization_id AND h.id = g.hold_id
  JOIN organizations o ON o.id = g.organization_id AND o.deleted_at IS NULL`;

async function getByToken(tx: Transaction, token: string): Promise<StoredGift> {
  const [gift] = await tx.$queryRaw<StoredGift[]>`${SELECT_GIFTS} WHERE g.token_hash = ${sha256(token)}`;
  if (!gift) throw notValid("unknown", "This link leads nowhere. Ask whoever gave it to you for the whole link.");
  return gift;
}

function stateOf(gift: Pick<StoredGift, "claimedAt" | "cancelledAt" | "expiresAt" | "open">, now: Date): GiftState {
  if (gift.claimedAt) return "claimed";
  if (gift.cancelledAt) return "cancelled";
  if (gift.expiresAt <= now) return "expired";
  return gift.open ? "open" : "withdrawn";
}

const WHY_NOT: Record<Exclude<GiftState, "open">, string> = {
  claimed: "This gift was claimed already.",
  cancelled: "This gift was taken back. Ask whoever gave it to you for a new one.",
  expired: "This gift was not claimed in time. Ask whoever gave it to you for a new one.",
  withdrawn: "This gift is not available any more. Ask whoever gave it to you for a new one.",
};

const SUSPENDED =
  "This gift cannot be claimed at the moment. Its link stays good: try again later, or ask whoever gave it to you.";

function notValid(reason: Exclude<GiftState, "open"> | "unknown" | "own" | "suspended", text: string): BillingError {
  return new BillingError("GIFT_NOT_VALID", text, { reason });
}
