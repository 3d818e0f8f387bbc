// Work for after the commit, asked for inside the transaction that causes it.
import { Prisma, type Transaction } from "./index";

/** Every kind of job, with what it is given. The handlers are in `jobs/`. */
export interface JobPayloads {
  "process-stripe-event": { eventId: string };
  /** Of one customer that has become known; null for all, as more of the catalogue may be known. */
  "retry-quarantined-events": { customerId: string | null };
  "bulk-grant": { bulkId: string };
  /** `since`: ISO; null for since the last one. */
  reconcile: { cause: string; since: string | null };
  "rename-customer": { organizationId: string };
  "close-organization": { organizationId: string };
  /** Whose schedule a change has taken the place of that was paid when nobody waited for it. */
  "release-schedule": { organizationId: string };
  "send-mail": { to: string; subject: string; text: string; html: string };
}

/**
 * Asks for a job once this transaction has committed.
 * @param options.key another job with this key that has not begun is replaced, so that copies do not pile up
 */
export async function enqueue<Task extends keyof JobPayloads>(
  tx: Transaction,
  task: Task,
  payload: JobPayloads[Task],
  options: { key: string; runAt?: Date },
): Promise<void> {
  const { key, runAt = null } = options;
  await tx.$executeRaw`SELECT ${jobCall(task, payload, { key: Prisma.sql`${key}`, runAt: Prisma.sql`${runAt}` })}`;
}

/** The call that asks for a job, as part of a statement. @param options expressions */
export function jobCall<Task extends keyof JobPayloads>(
  task: Task,
  payload: JobPayloads[Task],
  { key, runAt = Prisma.sql`NULL` }: { key: Prisma.Sql; runAt?: Prisma.Sql },
): Prisma.Sql {
  return Prisma.sql`enqueue_job(${task}, ${JSON.stringify(payload)}::json, ${key}, ${runAt}::timestamptz)`;
}
