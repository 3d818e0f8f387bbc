// Carries a bulk grant, or its undo, on to its end. What is thrown is tried again by the queue, and goes on where it was.
import { continueBulkGrant } from "~/server/billing/bulk-grants";
import { now } from "~/server/clock";
import type { JobPayloads } from "~/server/db/enqueue";

export async function carryOnBulkGrant({ bulkId }: JobPayloads["bulk-grant"]): Promise<void> {
  let more = true;
  while (more) more = await continueBulkGrant(bulkId, now());
}
