// A server that is killed under load, again and again, at instants of chance: nothing is taken twice, nothing was answered that
// is not in the ledger, and what had no answer is sent again with its key and done once. `npm run sim:ledger -- --kills 50`
// is the long form.
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { createApiKey } from "~/server/billing/api-keys";
import { findingLine, verifyLedger } from "~/server/billing/ledger/verify";
import { database } from "~/server/db/pool";
import { addLot, openLedger } from "../setup/billing";
import { createTenant } from "../setup/tenancy";
import { brokenLaws } from "./ledger-laws";

const KILLS = Number(process.env.BILLFOLD_SIM_KILLS ?? 3);
const CALLERS = 16;
const BATCH = 5;
const LONGEST_LIFE_MS = 700;
const SERVER = fileURLToPath(new URL("../setup/door-server.ts", import.meta.url));

let app: Awaited<ReturnType<typeof openLedger>>;
beforeAll(async () => {
  app = await openLedger({ DATABASE_POOL: "8" });
});
afterAll(() => app?.close());

interface Server {
  child: ChildProcess;
  url: string;
}

async function startServer(): Promise<Server> {
  const env = { ...process.env, DATABASE_URL: app.database.url };
  const child = fork(SERVER, [], { execArgv: ["--import", "tsx"], env, stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const [port] = await Promise.race([
    once(child, "message"),
    once(child, "exit").then(() => {
      throw new Error("the server ended before it listened");
    }),
  ]);
  return { child, url: `http://127.0.0.1:${port}` };
}

interface Call {
  procedure: "credits.consume" | "credits.hold" | "credits.grant";
  key: string;
  input: Record<string, unknown>;
}

interface Answer {
  transactionId: string;
  replayed: boolean;
}

type Result = { answer: Answer } | { refused: string } | { unanswered: true };

interface Body {
  result?: { data: { json: Answer } };
  error?: { json: { data: { billing: { code: string } } } };
}

/** Several calls in one request, as the client batches them: all are answered, or none. */
async function send(server: Server, apiKey: string, calls: Call[]): Promise<Result[]> {
  try {
    const inputs = Object.fromEntries(calls.map(({ input }, index) => [index, { json: input }]));
    const paths = calls.map(({ procedure }) => procedure).join(",");
    const response = await fetch(`${server.url}/api/trpc/${paths}?batch=1`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}` },
      body: JSON.stringify(inputs),
    });
    return ((await response.json()) as Body[]).map((body) => {
      if (body.result) return { answer: body.result.data.json };
      return { refused: body.error?.json.data.billing.code ?? JSON.stringify(body) };
    });
  } catch {
    return calls.map(() => ({ unanswered: true }));
  }
}

it(`a server that is killed ${KILLS} times under load takes everything once`, {
  timeout: 60_000 + KILLS * 20_000,
}, async () => {
  const { key: apiKey } = await createApiKey({ organizationId: null, name: "sim", createdById: null, now: new Date() });
  const tenants = await Promise.all(
    [0, 1, 2, 3].map(async () => {
      const { id } = await createTenant();
      for (const amount of [100, 900, 1_000_000]) await addLot({ organizationId: id, amount });
      return id;
    }),
  );
  let calls = 0;
  const newCall = (): Call => {
    const key = `call ${++calls}`;
    // Half of them for one organization.
    const organizationId = tenants[Math.random() < 0.5 ? 0 : Math.floor(Math.random() * 4)];
    const kind = Math.random();
    if (kind < 0.8) {
      const input = { organizationId, eventName: "api_call_basic", quantity: 1 + (calls % 3), idempotencyKey: key };
      return { procedure: "credits.consume", key, input };
    }
    if (kind < 0.95) {
      const input = { organizationId, amount: 1 + (calls % 5), leaseSeconds: 3600, idempotencyKey: key };
      return { procedure: "credits.hold", key, input };
    }
    const input = { organizationId, amount: 7, source: "promotion", reason: "sim", idempotencyKey: key };
    return { procedure: "credits.grant", key, input };
  };

  const answered = new Map<string, Answer>();
  const lives: number[] = [];
  let unanswered: Call[] = [];
  const counts = { interrupted: 0, doneBefore: 0, doneAfter: 0 };
  const note = (call: Call, isAgain: boolean, result: Result | undefined) => {
    if (!result || "unanswered" in result) {
      unanswered.push(call);
      return;
    }
    if ("refused" in result) throw new Error(`${call.procedure} was refused: ${result.refused}`);
    if (isAgain) counts[result.answer.replayed ? "doneBefore" : "doneAfter"] += 1;
    else expect(result.answer.replayed, "a key that nobody has used").toBe(false);
    answered.set(call.key, result.answer);
  };
  let standby = startServer();
  const alive = new Set<ChildProcess>();
  onTestFinished(async () => {
    alive.add((await standby).child);
    for (const child of alive) child.kill("SIGKILL");
  });

  for (let kill = 1; kill <= KILLS; kill++) {
    const server = await standby;
    alive.add(server.child);
    standby = startServer();
    await standby;

    let isAlive = true;
    const first = unanswered;
    unanswered = [];
    const caller = async () => {
      while (isAlive) {
        const batch = Array.from({ length: BATCH }, () => {
          const again = first.shift();
          return { call: again ?? newCall(), isAgain: again !== undefined };
        });
        const results = await send(
          server,
          apiKey,
          batch.map(({ call }) => call),
        );
        for (const [index, { call, isAgain }] of batch.entries()) note(call, isAgain, results[index]);
        if (answered.size >= lastAnswer) server.child.kill("SIGKILL");
        // Whoever has no answer stops until there is another server.
        if (results.some((result) => "unanswered" in result)) break;
      }
    };
    const before = answered.size;
    // Every other one dies with an answer on its way: those that were decided with it are in the ledger, and not yet told.
    const lastAnswer = kill % 2 === 0 ? before + 20 + Math.floor(Math.random() * 400) : Number.POSITIVE_INFINITY;
    const exited = once(server.child, "exit");
    const callers = Array.from({ length: CALLERS }, caller);
    // It must be at work: a server that has done nothing yet proves nothing.
    while (answered.size < before + 20) await sleep(5);
    if (lastAnswer === Number.POSITIVE_INFINITY) {
      await sleep(Math.random() * LONGEST_LIFE_MS);
      server.child.kill("SIGKILL");
    }
    await exited;
    isAlive = false;
    await Promise.all(callers);
    alive.delete(server.child);
    lives.push(answered.size - before);
    unanswered.push(...first);
    counts.interrupted += unanswered.length - first.length;
    expect(await brokenLaws(app.sql, tenants, new Date())).toEqual([]);
  }

  const last = await standby;
  alive.add(last.child);
  const rest = unanswered;
  unanswered = [];
  for (const call of rest) note(call, true, (await send(last, apiKey, [call]))[0]);
  expect(unanswered).toEqual([]);

  // The end of it: each call that was ever made stands in the ledger once, as the row that its caller was told.
  const rows = await app.sql<{ key: string; id: string; count: number }>(
    `SELECT idempotency_key AS key, min(id::text) AS id, count(*)::int AS count FROM credit_transactions
     WHERE organization_id = ANY ($1) AND key_space = 'caller' GROUP BY 1`,
    [tenants],
  );
  expect(rows.filter((row) => row.count !== 1)).toEqual([]);
  expect(new Set(rows.map((row) => row.key))).toEqual(new Set(answered.keys()));
  for (const row of rows) expect(answered.get(row.key)?.transactionId).toBe(row.id);
  expect(answered.size).toBe(calls);
  expect(await brokenLaws(app.sql, tenants, new Date())).toEqual([]);
  expect((await verifyLedger(database())).findings.map(findingLine)).toEqual([]);
  expect(counts.interrupted).toBeGreaterThan(0);
  console.log(
    `${KILLS} kills: ${calls} calls, ${counts.interrupted} without an answer, of which ${counts.doneBefore} had been done and ${counts.doneAfter} were done when sent again; answered in a life: ${Math.min(...lives)} to ${Math.max(...lives)}`,
  );
});
