// API keys: how a service proves which organization it belongs to. The key itself is shown once; only its hash is kept.
import { randomInt } from "node:crypto";
import { BillingError } from "~/domain/errors";
import { ask, asOrganization, asPlatform, type Prisma, type Transaction } from "../db";
import { newId, sha256 } from "../db/keys";
import { displayNames } from "./members";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 62^32 possible keys: 190 bits. */
const RANDOM_CHARACTERS = 32;
const FORMAT = /^bf_(live|platform)_[0-9A-Za-z]{32}$/;
/** A service that needs more than this many keys at once is making one per request. */
const MAX_KEYS_IN_USE = 100;
const MAX_LISTED = 500;
/** The last use is for people to see which keys are dead; a minute is exact enough, and spares a write on each call. */
const LAST_USE_RESOLUTION_MS = 60_000;

// Keys that were accepted lately, by their hash: asking for each call who it is from would cost as much as the call. What is
// remembered is not trusted by itself: see `isUnverified`.
const MOST_REMEMBERED = 10_000;
const remembered = new Map<string, { key: AuthenticatedKey; at: number }>();

export interface CreatedApiKey {
  id: string;
  name: string;
  /** The credential. Nobody can read it again after this answer. */
  key: string;
  /** Its first and last characters: `bf_live_…7Qx9`. */
  hint: string;
}

export interface ListedApiKey {
  id: string;
  name: string;
  hint: string;
  createdAt: Date;
  /** Name or address of who made it, while they are a member. */
  createdBy: string | null;
  /** Right to the minute. */
  lastUsedAt: Date | null;
  revokedAt: Date | null;
}

/** What a valid key stands for. */
export interface AuthenticatedKey {
  id: string;
  name: string;
  /** null for a platform key. */
  organizationId: string | null;
}

/**
 * Makes a key for an organization's services, or with `organizationId: null` one for the platform's.
 * @throws BillingError NOT_FOUND where there is no such organization; INVALID_INPUT where it has too many keys in use
 */
export async function createApiKey(request: {
  organizationId: string | null;
  name: string;
  createdById: string | null;
  now: Date;
}): Promise<CreatedApiKey> {
  const { organizationId, name, createdById, now } = request;
  const prefix = organizationId === null ? "bf_platform_" : "bf_live_";
  const key = prefix + randomText(RANDOM_CHARACTERS);
  const created = { id: newId(now), name, key, hint: `${prefix}…${key.slice(-4)}` };
  await within(organizationId, async (tx) => {
    if (organizationId !== null) await requireRoomForKey(tx, organizationId);
    await tx.apiKey.create({
      data: {
        id: created.id,
        organizationId,
        name,
        keyHash: sha256(key),
        hint: created.hint,
        createdById,
        createdAt: now,
      },
    });
  });
  return created;
}

async function requireRoomForKey(tx: Transaction, organizationId: string): Promise<void> {
  const organization = await tx.organization.findFirst({
    where: { id: organizationId, deletedAt: null },
    select: { _count: { select: { apiKeys: { where: { revokedAt: null } } } } },
  });
  if (!organization) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
  if (organization._count.apiKeys >= MAX_KEYS_IN_USE) {
    throw new BillingError("INVALID_INPUT", `There are ${MAX_KEYS_IN_USE} keys in use already. Revoke one first.`);
  }
}

/** The keys of an organization, those in use before those revoked, newest first; with null the platform's. */
export async function listApiKeys(organizationId: string | null): Promise<ListedApiKey[]> {
  return within(organizationId, async (tx) => {
    const keys = await tx.apiKey.findMany({
      where: { organizationId },
      select: {
        id: true,
        name: true,
        hint: true,
        createdAt: true,
        createdById: true,
        lastUsedAt: true,
        revokedAt: true,
      },
      orderBy: [{ revokedAt: { sort: "desc", nulls: "first" } }, { createdAt: "desc" }, { id: "desc" }],
      take: MAX_LISTED,
    });
    const names = await displayNames(
      tx,
      keys.map(({ createdById }) => createdById),
    );
    return keys.map(({ createdById, ...key }) => ({ ...key, createdBy: names.get(createdById) ?? null }));
  });
}

/**
 * Ends a key: the very next call with it is refused. Revoking it again changes nothing and keeps the first time.
 * @throws BillingError NOT_FOUND where the organization has no such key
 */
export async function revokeApiKey(request: {
  organizationId: string | null;
  apiKeyId: string;
  now: Date;
}): Promise<{ id: string; revokedAt: Date }> {
  const { organizationId, apiKeyId, now } = request;
  return within(organizationId, async (tx) => {
    const where: Prisma.ApiKeyWhereInput = { id: apiKeyId, organizationId };
    await tx.apiKey.updateMany({ where: { ...where, revokedAt: null }, data: { revokedAt: now } });
    const key = await tx.apiKey.findFirst({ where, select: { revokedAt: true } });
    if (!key?.revokedAt) throw new BillingError("NOT_FOUND", "There is no such API key.", { apiKeyId });
    for (const [hash, known] of remembered) if (known.key.id === apiKeyId) remembered.delete(hash);
    return { id: apiKeyId, revokedAt: key.revokedAt };
  });
}

/**
 * What a key stands for.
 * @returns with `isUnverified` where it was accepted within the last minute and has not been looked up now: it may have been
 *   revoked since, so whoever relies on it asks `requireValidApiKey`, or has the ledger ask in the same statement as the take
 * @throws BillingError UNAUTHENTICATED for a key that is wrong, revoked, or of a deleted organization
 */
export async function authenticateApiKey(
  key: string,
  now: Date,
): Promise<AuthenticatedKey & { isUnverified: boolean }> {
  if (!FORMAT.test(key)) throw refused();
  const keyHash = sha256(key);
  const known = remembered.get(keyHash);
  if (known && Math.abs(now.getTime() - known.at) < LAST_USE_RESOLUTION_MS) return { ...known.key, isUnverified: true };
  remembered.delete(keyHash);
  const found = await lookUp(keyHash, now);
  if (remembered.size >= MOST_REMEMBERED) remembered.clear();
  remembered.set(keyHash, { key: found, at: now.getTime() });
  return { ...found, isUnverified: false };
}

function lookUp(keyHash: string, now: Date): Promise<AuthenticatedKey> {
  return asPlatform(async (tx) => {
    const [row] = await tx.$queryRaw<
      { id: string; name: string; organization_id: string | null; last_used_at: Date | null }[]
    >`
      SELECT k.id, k.name, k.organization_id, k.last_used_at
      FROM api_keys k LEFT JOIN organizations o ON o.id = k.organization_id
      WHERE k.key_hash = ${keyHash} AND k.revoked_at IS NULL AND o.deleted_at IS NULL`;
    if (!row) throw refused();
    if (row.last_used_at === null || now.getTime() - row.last_used_at.getTime() >= LAST_USE_RESOLUTION_MS) {
      await recordUse(tx, row.id, now);
    }
    return { id: row.id, name: row.name, organizationId: row.organization_id };
  });
}

/** Asks whether a key that was accepted from memory still is valid. @throws BillingError UNAUTHENTICATED */
export async function requireValidApiKey(apiKeyId: string): Promise<void> {
  const [row] = await ask<{ valid: boolean }>("SELECT api_key_is_valid($1) AS valid", [apiKeyId]);
  if (!row?.valid) throw refused();
}

/** Once a minute all callers of a key come here together: the first one writes, the others do not wait for it. */
async function recordUse(tx: Transaction, apiKeyId: string, now: Date): Promise<void> {
  const staleBefore = new Date(now.getTime() - LAST_USE_RESOLUTION_MS);
  await tx.$executeRaw`
    UPDATE api_keys SET last_used_at = ${now}::timestamptz
    WHERE id = (
      SELECT id FROM api_keys
      WHERE id = ${apiKeyId}::uuid AND (last_used_at IS NULL OR last_used_at <= ${staleBefore}::timestamptz)
      FOR NO KEY UPDATE SKIP LOCKED
    )`;
}

function refused(): BillingError {
  return new BillingError("UNAUTHENTICATED", "This API key is not valid. It may have been revoked.");
}

function within<T>(organizationId: string | null, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return organizationId === null ? asPlatform(work) : asOrganization(organizationId, work);
}

function randomText(length: number): string {
  return Array.from({ length }, () => ALPHABET.charAt(randomInt(ALPHABET.length))).join("");
}
