// The lock under which an organization is made equal to Stripe: taken before the refetch, so that of two refetches the
// newer one is saved last. A lease in a table, because no transaction may be open while Stripe is asked.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { BillingError } from "~/domain/errors";
import { asPlatform, inOneExchange, Prisma, type Transaction } from "../db";
import { log } from "../log";

// Renewed while the holder lives, so it only has to outlast a pause; a crashed holder blocks nobody for longer.
const LEASE_SECONDS = 20;
const RENEW_EVERY_MS = 5_000;

export interface SyncLock {
  readonly organizationId: string;
  /** Writes what was fetched, in a transaction that fails where the lease was lost meanwhile. */
  save<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
}

/**
 * Runs `work` while nobody else synchronizes this organization.
 * @param options.waitMs how long to wait for whoever holds it
 * @throws BillingError BUSY when it stays held
 */
export async function withSyncLock<T>(
  organizationId: string,
  options: { waitMs: number },
  work: (lock: SyncLock) => Promise<T>,
): Promise<T> {
  const holder = randomUUID();
  await acquire(organizationId, holder, options.waitMs);
  const renewal = setInterval(() => {
    renew(organizationId, holder).catch((error) => log.warn("a sync lock was not renewed", { organizationId, error }));
  }, RENEW_EVERY_MS);
  try {
    return await work({
      organizationId,
      save: (save) =>
        asPlatform(async (tx) => {
          await assertHeld(tx, organizationId, holder);
          return save(tx);
        }),
    });
  } finally {
    clearInterval(renewal);
    await release(organizationId, holder);
  }
}

// Real time, not the request's `now`: a lease says for how long a process may be dead.
async function acquire(organizationId: string, holder: string, waitMs: number): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    const [taken] = await inOneExchange<[object]>(Prisma.sql`
      INSERT INTO sync_locks (organization_id, holder, expires_at)
      VALUES (${organizationId}::uuid, ${holder}::uuid, clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::int))
      ON CONFLICT (organization_id) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
      WHERE sync_locks.expires_at < clock_timestamp() RETURNING holder`);
    if (taken.length > 0) return;
    if (performance.now() >= deadline) {
      throw new BillingError("BUSY", "This organization is being brought up to date. Please try again in a moment.", {
        retryable: true,
      });
    }
    await sleep(40 + Math.random() * 80);
  }
}

async function renew(organizationId: string, holder: string): Promise<void> {
  await inOneExchange(Prisma.sql`
    UPDATE sync_locks SET expires_at = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS}::int)
    WHERE organization_id = ${organizationId}::uuid AND holder = ${holder}::uuid`);
}

async function assertHeld(tx: Transaction, organizationId: string, holder: string): Promise<void> {
  const held = await tx.$queryRaw<unknown[]>`
    SELECT 1 FROM sync_locks WHERE organization_id = ${organizationId}::uuid AND holder = ${holder}::uuid FOR UPDATE`;
  if (held.length === 0)
    throw new BillingError("BUSY", "Bringing this organization up to date took too long.", { retryable: true });
}

async function release(organizationId: string, holder: string): Promise<void> {
  await inOneExchange(
    Prisma.sql`DELETE FROM sync_locks WHERE organization_id = ${organizationId}::uuid AND holder = ${holder}::uuid`,
  );
}
