// The whole of billing for a test file: a database with the catalogue, Stripe's stand-in behind a line that can be cut,
// and the law that every ledger must keep.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import Stripe from "stripe";
import { expect, vi } from "vitest";
import { type Sandbox, startSandbox } from "~/sandbox/index";
import { createCaller } from "~/server/api/root";
import type { Actor } from "~/server/auth/actor";
import { findingLine, verifyLedger } from "~/server/billing/ledger/verify";
import { pushCatalogue } from "~/server/billing/stripe-catalogue";
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import { database } from "~/server/db/pool";
import { processEvent } from "~/server/webhooks/process";
import { type Answer, receiveEvent } from "~/server/webhooks/receive";
import { seedCatalogue } from "../../prisma/seed/catalogue";
import { SERVICE_KEY_ID } from "./callers";
import { NOW, openApp } from "./tenancy";

const PLATFORM_KEY_ID = "00000000-0000-7000-8000-000000000000";

export const STRIPE_KEY = "sk_test_of_the_billing_tests";
export const WEBHOOK_SECRET = "whsec_of_the_billing_tests";
export const DAY_MS = 86_400_000;

export const daysLater = (days: number, from: Date = NOW): Date => new Date(from.getTime() + days * DAY_MS);
const seconds = (at: Date): number => Math.floor(at.getTime() / 1000);

export type Sql = <Row extends pg.QueryResultRow = Record<string, unknown>>(
  text: string,
  values?: unknown[],
) => Promise<Row[]>;

/** A database with the catalogue, and a superuser's eyes on it, which no row-level security blinds. */
export async function openLedger(extra: Record<string, string> = {}) {
  const app = await openApp(extra);
  const pool = new pg.Pool({ connectionString: app.database.superuserUrl, max: 4 });
  // The pool says it has ended while its last sockets are still closing; dropping the database then cuts them off.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  await seedCatalogue(NOW);
  const sql: Sql = async (text, values = []) => (await pool.query(text, values)).rows;
  // The ledger asks whether keys are valid, those of callers that a test makes up, too.
  await sql(
    "INSERT INTO api_keys (id, name, key_hash, hint, created_at) SELECT id::uuid, 'tests', id, 'bf_tests', now() FROM unnest($1::text[]) AS id",
    [[PLATFORM_KEY_ID, SERVICE_KEY_ID]],
  );
  return {
    ...app,
    sql,
    /** Runs statements as a superuser whom no trigger stops; each must change something. `$1` is the organization. */
    async tamper(organizationId: string, ...statements: string[]): Promise<void> {
      const client = new pg.Client({ connectionString: app.database.superuserUrl });
      await client.connect();
      try {
        await client.query("SET session_replication_role = replica");
        for (const statement of statements) {
          const { rowCount } = await client.query(statement, statement.includes("$1") ? [organizationId] : []);
          expect(rowCount, statement).toBeGreaterThan(0);
        }
      } finally {
        await client.end();
      }
    },
    async close() {
      await pool.end();
      await app.close();
    },
  };
}

/** Keeps the app's own log lines, which tests of failures call for, out of the report. */
export function quietLogs(): void {
  const say = console.log;
  vi.spyOn(console, "log").mockImplementation((first, ...rest) => {
    if (!String(first).startsWith("info: ")) say(first, ...rest);
  });
  for (const level of ["warn", "error"] as const) {
    const shout = console[level];
    vi.spyOn(console, level).mockImplementation((first, ...rest) => {
      if (!/^(warn|error): /.test(String(first))) shout(first, ...rest);
    });
  }
}

/** Calls procedures as somebody, at an instant. */
export function callAs(actor: Actor | null, now: Date = NOW) {
  return createCaller({ actor, now });
}

export const PLATFORM: Actor = {
  kind: "service",
  apiKeyId: PLATFORM_KEY_ID,
  keyName: "tests",
  organizationId: null,
};

// ── The ledger's laws ──────────────────────────────────────────────────────────────────────────────────────

interface LedgerFacts {
  balance: number;
  lastSeq: number;
  held: number;
  rows: { seq: number; type: string; amount: number; balanceAfter: number; availableAfter: number; entries: number }[];
  lots: { id: string; amount: number; remaining: number; open: boolean; entries: number }[];
}

export async function readLedger(sql: Sql, organizationId: string): Promise<LedgerFacts> {
  const [account] = await sql<{ balance: number; last: number; held: number }>(
    "SELECT balance::float8 AS balance, last_seq::float8 AS last, held::float8 AS held FROM credit_accounts WHERE organization_id = $1",
    [organizationId],
  );
  const rows = await sql<LedgerFacts["rows"][number]>(
    `SELECT seq::float8 AS seq, type::text AS type, amount::float8 AS amount, balance_after::float8 AS "balanceAfter",
            available_after::float8 AS "availableAfter",
            (SELECT coalesce(sum(e.amount), 0)::float8 FROM credit_movements e
             WHERE e.organization_id = t.organization_id AND e.transaction_seq = t.seq) AS entries
     FROM credit_transactions t WHERE organization_id = $1 ORDER BY seq`,
    [organizationId],
  );
  const lots = await sql<LedgerFacts["lots"][number]>(
    `SELECT id, amount::float8 AS amount, remaining::float8 AS remaining, open,
            (SELECT coalesce(sum(e.amount), 0)::float8 FROM credit_movements e
             WHERE e.organization_id = g.organization_id AND e.grant_id = g.id) AS entries
     FROM credit_grants g WHERE organization_id = $1 ORDER BY id`,
    [organizationId],
  );
  return {
    balance: account?.balance ?? Number.NaN,
    lastSeq: account?.last ?? -1,
    held: account?.held ?? -1,
    rows,
    lots,
  };
}

/** Fails unless Σ ledger = Σ lots = balance, the running total has no gap, and entries say what rows and lots say. */
export async function expectLawfulLedger(sql: Sql, organizationId: string): Promise<LedgerFacts> {
  const ledger = await readLedger(sql, organizationId);
  let running = 0;
  for (const [index, row] of ledger.rows.entries()) {
    running += row.amount;
    expect(row.seq, "sequence without a gap").toBe(index + 1);
    expect(row.balanceAfter, `running total at ${row.seq}`).toBe(running);
    expect(row.entries, `entries of row ${row.seq}`).toBe(row.amount);
    expect(row.balanceAfter).toBeGreaterThanOrEqual(0);
    expect(row.availableAfter).toBeLessThanOrEqual(row.balanceAfter);
  }
  for (const lot of ledger.lots) {
    expect(lot.entries, `entries of lot ${lot.id}`).toBe(lot.remaining);
    expect(lot.remaining).toBeGreaterThanOrEqual(0);
    expect(lot.remaining).toBeLessThanOrEqual(lot.amount);
    expect(lot.open).toBe(lot.remaining > 0);
  }
  expect(ledger.lastSeq).toBe(ledger.rows.length);
  expect(ledger.balance, "cached balance = Σ ledger").toBe(running);
  expect(
    ledger.lots.reduce((sum, lot) => sum + lot.remaining, 0),
    "Σ lots = Σ ledger",
  ).toBe(running);
  const lotsAfter = await sql(
    `SELECT 1 FROM (
       SELECT lot_after, sum(amount) OVER (PARTITION BY grant_id ORDER BY transaction_seq, position) AS running
       FROM credit_movements WHERE organization_id = $1) chain
     WHERE lot_after <> running`,
    [organizationId],
  );
  expect(lotsAfter, "each entry says what its lot held after it").toEqual([]);
  const { findings } = await verifyLedger(database(), { organizationId });
  expect(findings.map(findingLine), "what ledger:verify finds").toEqual([]);
  return ledger;
}

/** A lot of any source, made by the platform through the ledger's own functions. */
export async function addLot(lot: {
  organizationId: string;
  amount: number;
  source?: "subscription" | "purchase" | "promotion" | "adjustment";
  expiresAt?: Date | null;
  at?: Date;
}): Promise<string> {
  const { grantOnce } = await import("~/server/billing/credits");
  const { toCredits } = await import("~/domain/credits");
  const { organizationId, amount, source = "purchase", expiresAt = null, at = NOW } = lot;
  const businessKey = `test:${newId(at)}`;
  await asPlatform((tx) =>
    grantOnce(tx, {
      organizationId,
      businessKey,
      type: source === "purchase" ? "purchase" : "grant",
      lot: { source, amount: toCredits(amount), expiresAt, label: `${source} ${amount}` },
      reason: "for a test",
      now: at,
    }),
  );
  return asPlatform(async (tx) => {
    const row = await tx.creditTransaction.findFirstOrThrow({ where: { organizationId, idempotencyKey: businessKey } });
    if (row.grantId === null) throw new Error("a row that grants one lot names it");
    return row.grantId;
  });
}

let payments = 0;

/** A lot that a payment paid for. @returns what makes the payment refunded, and disputed, by so much in all */
export async function addPaidLot(
  sql: Sql,
  organizationId: string,
  amount: number,
): Promise<(refunded: number, disputed: number) => Promise<void>> {
  const { grantOnce } = await import("~/server/billing/credits");
  const { claimPaidLots } = await import("~/server/billing/payments");
  const { toCredits } = await import("~/domain/credits");
  const payment = `pi_${++payments}`;
  const set = (refunded: number, disputed: number) =>
    sql(
      `INSERT INTO stripe_payments (id, organization_id, amount, currency, refunded, disputed, synced_at)
       VALUES ($1, $2, $3, 'usd', $4, $5, $6)
       ON CONFLICT (id) DO UPDATE SET refunded = excluded.refunded, disputed = excluded.disputed`,
      [payment, organizationId, amount, refunded, disputed, NOW],
    );
  await set(0, 0);
  await asPlatform((tx) =>
    grantOnce(tx, {
      organizationId,
      businessKey: payment,
      type: "purchase",
      lot: { source: "purchase", amount: toCredits(amount), expiresAt: null, label: payment, stripePaymentId: payment },
      reason: payment,
      now: NOW,
    }),
  );
  return async (refunded, disputed) => {
    await set(refunded, disputed);
    const cause = { reference: payment, reason: "The payment was refunded" };
    const causes = { taking: { type: "refund", ...cause }, freezing: { type: "dispute", ...cause } } as const;
    await asPlatform((tx) => claimPaidLots(tx, { stripePaymentId: payment }, causes, NOW));
  };
}

/** Statements for `tamper` that make an organization's ledger one of before rows named their lot: an entry for each lot of each row. */
export const LEDGER_OF_BEFORE = [
  `INSERT INTO credit_entries (organization_id, transaction_seq, position, grant_id, amount, held, lot_after)
   SELECT organization_id, seq, 1, grant_id, amount, held, lot_after FROM credit_transactions WHERE organization_id = $1 AND grant_id IS NOT NULL`,
  "UPDATE credit_transactions SET grant_id = null, lot_after = null, starts_run = null WHERE organization_id = $1 AND grant_id IS NOT NULL",
  // Nobody remembers the account: such rows are older than any process that is still up.
  "UPDATE credit_accounts SET version = version + 1 WHERE organization_id = $1",
];

// ── Stripe ─────────────────────────────────────────────────────────────────────────────────────────────────

/** The line between the app and the sandbox: it can be cut, be slow to answer, or bend an answer, as networks do. */
export interface StripeLine {
  url: string;
  mode: "up" | "fails" | "silent" | "limited" | "reset" | "html";
  /** Milliseconds that each answer takes longer. */
  delayMs: number;
  /** In seconds, said with each failure. */
  retryAfter: string | null;
  /** `POST /v1/customers`, in order. */
  calls: string[];
  /** Changes an answer on its way, or keeps it waiting. */
  bend: ((path: string, answer: Record<string, unknown>) => unknown) | null;
  close(): Promise<void>;
}

const FAILURES = {
  fails: { status: 500, error: { type: "api_error", message: "An unknown error occurred." } },
  limited: { status: 429, error: { type: "invalid_request_error", code: "rate_limit", message: "Too many requests." } },
};

async function openLine({ url: target, listener }: Sandbox): Promise<StripeLine> {
  const server = createServer(async (request, response) => {
    const path = request.url ?? "/";
    line.calls.push(`${request.method} ${path.split("?")[0]}`);
    if (line.mode === "up" && line.bend === null && line.delayMs === 0) {
      listener(request, response);
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (line.mode === "silent") return;
    if (line.delayMs > 0) await sleep(line.delayMs);
    if (line.mode === "reset") {
      request.socket.destroy();
      return;
    }
    if (line.mode === "html") {
      response.writeHead(502, { "content-type": "text/html" }).end("<html><h1>502 Bad Gateway</h1></html>");
      return;
    }
    if (line.mode !== "up") {
      const { status, error } = FAILURES[line.mode];
      const headers = line.retryAfter === null ? {} : { "retry-after": line.retryAfter };
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify({ error }));
      return;
    }
    const headers = new Headers();
    for (const name of ["authorization", "content-type", "idempotency-key", "stripe-version"]) {
      const value = request.headers[name];
      if (typeof value === "string") headers.set(name, value);
    }
    const answer = await fetch(target + path, {
      method: request.method ?? "GET",
      headers,
      ...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
    });
    const text = await answer.text();
    const body = line.bend ? JSON.stringify(await line.bend(path, JSON.parse(text))) : text;
    const replayed = answer.headers.get("idempotent-replayed");
    const kept: Record<string, string> = replayed ? { "idempotent-replayed": replayed } : {};
    response.writeHead(answer.status, { "content-type": "application/json", ...kept }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const line: StripeLine = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    mode: "up",
    delayMs: 0,
    retryAfter: null,
    calls: [],
    bend: null,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return line;
}

/** Everything: database, catalogue, sandbox with its clock at `NOW`, and what happens there on its way to us. */
export async function openBilling(extra: Record<string, string> = {}) {
  const sandbox = await startSandbox({ port: 0, secretKey: STRIPE_KEY, now: seconds(NOW) });
  const line = await openLine(sandbox);
  const app = await openLedger({
    STRIPE_SECRET_KEY: STRIPE_KEY,
    STRIPE_API_BASE: line.url,
    STRIPE_WEBHOOK_SECRET: WEBHOOK_SECRET,
    ...extra,
  });
  await pushCatalogue();
  // Whoever works in Stripe's own dashboard: past the line.
  const { hostname, port } = new URL(sandbox.url);
  const stripe = new Stripe(STRIPE_KEY, { host: hostname, port, protocol: "http", telemetry: false });

  async function control(path: string, body: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`${sandbox.url}/_sandbox/${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`the sandbox refused ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Record<string, unknown>;
  }

  const seen = new Set<string>();
  /** Events that happened at Stripe since the last call, in their order there. */
  async function freshEvents(): Promise<Stripe.Event[]> {
    const fresh: Stripe.Event[] = [];
    for await (const event of stripe.events.list({ limit: 100 })) {
      if (seen.has(event.id)) break;
      fresh.push(event);
    }
    for (const { id } of fresh) seen.add(id);
    return fresh.reverse();
  }
  await freshEvents();

  const nowOf = (event: Stripe.Event, at: Date | undefined) => at ?? new Date(event.created * 1000);

  async function take(event: Stripe.Event, now: Date): Promise<void> {
    const { status } = await deliver(event, now);
    if (status !== 200) throw new Error(`event ${event.type} was answered ${status}`);
  }

  /**
   * Hands over events, signed. What comes in one instant is processed once all of it has come: what is of one object in one go, as
   * where events come faster than they are done.
   */
  async function settle(events?: readonly Stripe.Event[], at?: Date): Promise<void> {
    const rest = [...(events ?? (await freshEvents()))];
    for (let now = rest[0] && nowOf(rest[0], at); now; now = rest[0] && nowOf(rest[0], at)) {
      const other = rest.findIndex((event) => nowOf(event, at).getTime() !== now?.getTime());
      const together = rest.splice(0, other === -1 ? rest.length : other);
      for (const event of together) await take(event, now);
      for (const event of together) await processEvent(event.id, now);
    }
  }

  /** Hands over events, signed, and processes each before the next one comes. @returns what each did; null where nothing was left to do */
  async function settleOneByOne(events?: readonly Stripe.Event[], at?: Date): Promise<(string | null)[]> {
    const sentences: (string | null)[] = [];
    for (const event of events ?? (await freshEvents())) {
      await take(event, nowOf(event, at));
      sentences.push(await processEvent(event.id, nowOf(event, at)));
    }
    return sentences;
  }

  return {
    ...app,
    sandbox,
    line,
    stripe,
    freshEvents,
    settle,
    settleOneByOne,
    /** Ends all that lives at Stripe, so that it does not go on beside the next test. @returns what nobody has heard of yet */
    async endAll(): Promise<Stripe.Event[]> {
      for await (const subscription of stripe.subscriptions.list({ limit: 100 })) {
        if (subscription.status !== "incomplete_expired") await stripe.subscriptions.cancel(subscription.id);
      }
      return freshEvents();
    },
    /** What banks do, and what is done by hand in the sandbox. */
    control,
    /** Moves Stripe's clock; what falls due on the way happens there. */
    setClock: (at: Date) => control("clock", { now: seconds(at) }),
    /** Submits a checkout's page with a card. */
    pay: (url: string, card = "4242424242424242") => control(`checkout/${sessionOf(url)}/complete`, { card }),
    async close() {
      line.mode = "up";
      line.delayMs = 0;
      await app.close();
      await line.close();
      await sandbox.close();
    },
  };
}

export type Billing = Awaited<ReturnType<typeof openBilling>>;

/** The checkout session in a checkout's address. */
export function sessionOf(url: string): string {
  const id = /cs_[A-Za-z0-9_]+/.exec(url)?.[0];
  if (!id) throw new Error(`no checkout session in ${url}`);
  return id;
}

/** A delivery as Stripe makes it: the bytes and a signature over them. */
export function delivery(
  body: string,
  options: { secret?: string; signedAt?: Date; signature?: string | null } = {},
): Request {
  const { secret = WEBHOOK_SECRET, signedAt = new Date() } = options;
  const signature =
    options.signature === undefined
      ? Stripe.webhooks.generateTestHeaderString({ payload: body, secret, timestamp: seconds(signedAt) })
      : options.signature;
  return new Request("http://localhost/api/billing/webhook/stripe", {
    method: "POST",
    headers: { "content-type": "application/json", ...(signature === null ? {} : { "stripe-signature": signature }) },
    body,
  });
}

export function deliver(event: Stripe.Event, now: Date): Promise<Answer> {
  return receiveEvent(delivery(JSON.stringify(event)), now);
}

/** An event around an object, as Stripe would send it. */
export function makeEvent(
  type: string,
  object: Record<string, unknown>,
  change: Record<string, unknown> = {},
): Stripe.Event {
  return {
    id: `evt_${newId(new Date()).replaceAll("-", "")}`,
    object: "event",
    api_version: "2026-10-28.endive",
    created: seconds(NOW),
    livemode: false,
    pending_webhooks: 1,
    request: null,
    type,
    data: { object },
    ...change,
  } as unknown as Stripe.Event;
}

// ── tRPC over HTTP ─────────────────────────────────────────────────────────────────────────────────────────

/** Serves the app's own tRPC route at a port of this machine, as Next would. */
export async function serveApi(): Promise<{ url: string; close(): Promise<void> }> {
  const route = await import("~/app/api/trpc/[trpc]/route");
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const headers = new Headers();
    for (const [name, value] of Object.entries(incoming.headers)) headers.set(name, String(value));
    const { method = "GET" } = incoming;
    const body = method === "POST" ? { body: Buffer.concat(chunks) } : {};
    const request = new Request(new URL(incoming.url ?? "/", "http://localhost"), { method, headers, ...body });
    const answer = await (method === "POST" ? route.POST : route.GET)(request);
    outgoing.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
