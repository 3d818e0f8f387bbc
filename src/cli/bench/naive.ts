// Consuming as one would naively write it with Prisma: an interactive transaction that finds, decides and writes step by
// step, on the app's own tables. Only for comparison; the one care it takes is to lock the account, without which it would be wrong.
import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "~/server/db/generated/client";
import { newId } from "~/server/db/keys";
import { EVENT_NAME } from "./ledger-rows";

// Callers queue for the account's lock; a bench that times out measures nothing.
const LIMITS = { maxWait: 60_000, timeout: 60_000 };

/** A client that acts as the platform, so that row-level security costs it nothing. */
export function openNaive(connectionString: string, connections: number): PrismaClient {
  const adapter = new PrismaPg({ connectionString, max: connections, options: "-c role=billfold_platform" });
  return new PrismaClient({ adapter });
}

export function takeNaively(prisma: PrismaClient, organizationId: string, idempotencyKey: string): Promise<void> {
  return prisma.$transaction(async (tx) => {
    const now = new Date();
    const event = await tx.creditEvent.findUniqueOrThrow({ where: { name: EVENT_NAME } });
    await tx.$queryRaw`SELECT 1 FROM credit_accounts WHERE organization_id = ${organizationId}::uuid FOR UPDATE`;
    const account = await tx.creditAccount.findUniqueOrThrow({ where: { organizationId } });
    const lots = await tx.creditGrant.findMany({
      where: { organizationId, open: true },
      orderBy: [{ expiresAt: { sort: "asc", nulls: "first" } }, { createdAt: "asc" }],
    });

    const seq = account.lastSeq + 1n;
    let missing = event.cost;
    const entries: { grantId: string; amount: bigint; lotAfter: bigint }[] = [];
    for (const lot of lots) {
      const suffices = lot.remaining >= missing;
      const amount = suffices ? missing : lot.remaining;
      if (amount === 0n) break;
      const lotAfter = lot.remaining - amount;
      await tx.creditGrant.update({
        where: { organizationId_id: { organizationId, id: lot.id } },
        data: { remaining: lotAfter, open: lotAfter > 0n },
      });
      entries.push({ grantId: lot.id, amount: -amount, lotAfter });
      missing -= amount;
    }
    if (missing > 0n) throw new Error("the naive way has run out of credits");

    const balanceAfter = account.balance - event.cost;
    await tx.creditTransaction.create({
      data: {
        organizationId,
        seq,
        id: newId(now),
        type: "consume",
        amount: -event.cost,
        balanceAfter,
        availableAfter: balanceAfter,
        keySpace: "caller",
        idempotencyKey,
        requestHash: "",
        eventId: event.id,
        eventName: event.name,
        eventVersion: event.version,
        quantity: 1n,
        unitCost: event.cost,
        actor: "bench",
        createdAt: now,
      },
    });
    await tx.creditEntry.createMany({
      data: entries.map((entry, index) => ({ organizationId, transactionSeq: seq, position: index + 1, ...entry })),
    });
    await tx.creditAccount.update({
      where: { organizationId },
      data: { balance: balanceAfter, lastSeq: seq, updatedAt: now },
    });
  }, LIMITS);
}
