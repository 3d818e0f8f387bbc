// Rolls usage up by the clock. Pages are right without it, as they read the rest from the ledger; with it they stay quick.
import { rollUpBacklog } from "~/server/billing/usage-rollups";

// A run ends well within the minute until the next one, which takes what is left.
const LIMITS = { rows: 500_000, organizations: 20_000 };

export async function rollUpUsage(): Promise<void> {
  await rollUpBacklog(LIMITS);
}
