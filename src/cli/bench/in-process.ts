// A child process that uses Billfold's own functions, or what they are compared with, on the database of DATABASE_URL.
import pg from "pg";
import { createApiKey } from "~/server/billing/api-keys";
import { consumeCredits, getBalance } from "~/server/billing/credits";
import { listTransactions } from "~/server/billing/transactions";
import { env } from "~/server/env";
import { runCallers } from "./callers";
import { EVENT_NAME, organizationId } from "./ledger-rows";
import { takeAtLimit } from "./limit";
import { openNaive, takeNaively } from "./naive";
import { serveTasks } from "./serve-tasks";
import type { CreateKeysTask, InProcessTask, Targets, WalkTask, Way } from "./tasks";

const PAGE_LIMIT = 25;
const WALKERS = 128;

const connectionString = env().DATABASE_URL;
const connections = env().DATABASE_POOL;
const run = `${process.pid}-${Date.now().toString(36)}`;
let keys = 0;
const nextKey = () => `bench-${run}-${++keys}`;

// Made when first used: a process that never measures one of them opens no connection for it.
let pool: pg.Pool | undefined;
let naive: ReturnType<typeof openNaive> | undefined;

function openPool(): pg.Pool {
  // Without the timer that each connection would get with each query: measured, as fast as handing them out by hand.
  pool ??= new pg.Pool({ connectionString, max: connections, idleTimeoutMillis: 0 });
  return pool;
}

const WAYS: Record<Way, (organization: string, depth: number) => Promise<void>> = {
  limit: (organization) => takeAtLimit(openPool(), organization),

  naive: (organization) => {
    naive ??= openNaive(connectionString, connections);
    return takeNaively(naive, organization, nextKey());
  },

  ours: async (organization) => {
    const { consumed, replayed } = await consumeCredits({
      organizationId: organization,
      eventName: EVENT_NAME,
      quantity: 1,
      idempotencyKey: nextKey(),
      actor: "bench",
      apiKeyId: null,
      now: new Date(),
    });
    if (consumed !== 1 || replayed) throw new Error(`one credit was asked for, ${consumed} taken`);
  },

  balance: async (organization) => {
    const { available } = await getBalance(organization, new Date());
    if (available <= 0) throw new Error("a seeded organization has credits");
  },

  select1: async () => {
    await openPool().query("SELECT 1");
  },

  firstPage: (organization) => readPage(organization, null),

  deepPage: async (organization, depth) => readPage(organization, (await newestSeq(organization)) - depth),
};

async function readPage(organization: string, cursor: number | null): Promise<void> {
  const filter = { type: null, search: null, from: null, to: null };
  const { items } = await listTransactions({ organizationId: organization, cursor, limit: PAGE_LIMIT, ...filter });
  if (items.length !== PAGE_LIMIT) throw new Error(`a page has ${PAGE_LIMIT} rows, not ${items.length}`);
}

const newest = new Map<string, number>();

/** Nothing is taken from an organization whose pages are read, so its newest row stays the newest. */
async function newestSeq(organization: string): Promise<number> {
  const known = newest.get(organization);
  if (known !== undefined) return known;
  const filter = { type: null, search: null, from: null, to: null };
  const { items } = await listTransactions({ organizationId: organization, cursor: null, limit: 1, ...filter });
  const seq = items[0]?.seq ?? 0;
  newest.set(organization, seq);
  return seq;
}

function idsOf({ set, organizations }: Targets): string[] {
  return Array.from({ length: organizations }, (_, index) => organizationId(set, index + 1));
}

function pick(targets: Targets): () => string {
  const ids = idsOf(targets);
  return () => ids[Math.floor(Math.random() * ids.length)] ?? "";
}

function measure({ way, targets, depth, load }: InProcessTask) {
  const next = pick(targets);
  const take = WAYS[way];
  return runCallers(load, async () => {
    await take(next(), depth);
    return 1;
  });
}

async function walk({ targets }: WalkTask): Promise<number> {
  const ids = idsOf(targets);
  const waiting = ids.values();
  // Each goes on with the next one that nobody has taken.
  const walker = async () => {
    for (const id of waiting) await WAYS.ours(id, 0);
  };
  await Promise.all(Array.from({ length: WALKERS }, walker));
  return ids.length;
}

async function createKeys({ organizationId: id }: CreateKeysTask) {
  const make = (organizationId: string | null) =>
    createApiKey({ organizationId, name: "bench", createdById: null, now: new Date() });
  return { organizationKey: (await make(id)).key, platformKey: (await make(null)).key };
}

serveTasks(async (task) => {
  if (task.kind === "load") return measure(task);
  if (task.kind === "walk") return walk(task);
  if (task.kind === "createKeys") return createKeys(task);
  throw new Error(`this process does not do ${task.kind}`);
});
