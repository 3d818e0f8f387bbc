// `npm run events:replay -- <id…>`: has Stripe's events processed anew by whatever worker runs, from their stored bodies.
//   -- --dead | --failed | --quarantined   all of these, also together
//   -- --since <instant> [--until <instant>] [--type <type>]   only those that came then, or are such; --dead where no state is said
import "./load-env";
import { parseArgs } from "node:util";
import { BillingError } from "~/domain/errors";
import { now } from "~/server/clock";
import { disconnect } from "~/server/db";
import { REPLAYABLE, type ReplaySpan, replayEvent, replayEvents } from "~/server/webhooks/replay";

const USAGE = `Has events of Stripe processed anew, from their stored bodies.

  npm run events:replay -- <id…>
  npm run events:replay -- [--dead] [--failed] [--quarantined] [--since <instant>] [--until <instant>] [--type <type>]

An instant is written as 2026-03-10 or 2026-03-10T09:30:00Z. Without a state, those that are dead are meant.`;

class UsageError extends Error {}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      dead: { type: "boolean", default: false },
      failed: { type: "boolean", default: false },
      quarantined: { type: "boolean", default: false },
      since: { type: "string" },
      until: { type: "string" },
      type: { type: "string" },
    },
  });
  const { since, until, type } = values;
  const named = REPLAYABLE.filter((status) => values[status]);
  const isSpan = named.length > 0 || since !== undefined || until !== undefined || type !== undefined;
  if (isSpan === positionals.length > 0) throw new UsageError(USAGE);
  if (positionals.length > 0) return replayEach(positionals);
  return replaySpan({
    statuses: named.length > 0 ? named : ["dead"],
    from: since === undefined ? undefined : instantOf(since),
    until: until === undefined ? undefined : instantOf(until),
    type,
  });
}

function instantOf(text: string): Date {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) throw new UsageError(`"${text}" is no instant.\n\n${USAGE}`);
  return at;
}

async function replayEach(eventIds: string[]): Promise<number> {
  let failures = 0;
  for (const eventId of new Set(eventIds)) {
    try {
      const { from, to } = await replayEvent(eventId, now());
      console.log(`${eventId}: was ${from}, ${to === "received" ? "is processed anew" : `is ${to} again`}`);
    } catch (error) {
      if (!(error instanceof BillingError)) throw error;
      failures++;
      console.error(`${eventId}: ${error.message}`);
    }
  }
  return failures > 0 ? 1 : 0;
}

async function replaySpan(span: ReplaySpan): Promise<number> {
  // One instant for all calls: what fails again meanwhile is not taken twice.
  const at = now();
  let total = 0;
  for (let hasMore = true; hasMore; ) {
    const { replayed, ...rest } = await replayEvents(span, at);
    total += replayed;
    ({ hasMore } = rest);
    if (hasMore) console.log(`  ${total}`);
  }
  console.log(`${total} ${total === 1 ? "event is" : "events are"} processed anew.`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  console.error(isUsage ? (error as Error).message : error);
  process.exitCode = isUsage ? 2 : 1;
} finally {
  await disconnect();
}
