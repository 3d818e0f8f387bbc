// The server that `npm start` runs: two ways in through one port, one worker, and an end that cuts nobody off.
import { Agent, request } from "node:http";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { createApiKey } from "~/server/billing/api-keys";
import { sendEvent } from "../e2e/support/deliveries";
import { until } from "../e2e/support/until";
import { openWorld, type World } from "../e2e/support/world";
import type { App } from "../setup/app";
import { addLot, expectLawfulLedger, makeEvent, WEBHOOK_SECRET } from "../setup/billing";
import { createTenant } from "../setup/tenancy";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(() => world?.close());

async function start(env: NodeJS.Dict<string> = {}): Promise<App> {
  const app = await world.startInstance({ webhookSecret: WEBHOOK_SECRET, env });
  onTestFinished(() => app.stop());
  return app;
}

const SECURITY_HEADERS = ["x-content-type-options", "x-frame-options", "referrer-policy"];

/** How many connections listen for jobs: one for each worker. */
async function listeningWorkers(): Promise<number> {
  const [row] = await world.sql<{ count: number }>(
    "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'",
  );
  return row?.count ?? 0;
}

describe("the server", () => {
  test("answers tRPC by the door and pages by Next, both with the headers that keep pages safe", async () => {
    const app = await start();
    const plans = await fetch(`${app.url}/api/trpc/plans.list`);
    const page = await fetch(`${app.url}/signin`);
    expect([plans.status, page.status]).toEqual([200, 200]);
    // Next would send it in pieces.
    expect(plans.headers.get("content-length")).toMatch(/^\d+$/);
    expect(page.headers.get("content-type")).toContain("text/html");
    for (const name of SECURITY_HEADERS) expect(plans.headers.get(name)).toBe(page.headers.get(name));
    expect(plans.headers.get("x-frame-options")).toBe("DENY");
  });

  test("says of an address that cannot be read that it cannot", async () => {
    const app = await start({ BILLFOLD_WORKER: "off" });
    for (const path of ["/gifts/%zz", "/%ED%A0%80/billing", "/api/auth/%ff", "/%00/billing"]) {
      const answer = await fetch(`${app.url}${path}`);
      expect([path, answer.status, await answer.text()]).toEqual([path, 400, "The address could not be read.\n"]);
      for (const name of SECURITY_HEADERS) expect(answer.headers.get(name)).not.toBeNull();
    }
    const call = await fetch(`${app.url}/api/trpc/%ff`);
    expect(call.status).toBe(400);
    expect(await call.json()).toMatchObject({ error: { json: { data: { billing: { code: "INVALID_INPUT" } } } } });
  });

  test("runs one worker, or none where jobs run elsewhere", async () => {
    await start({ BILLFOLD_WORKER: "off" });
    expect(await listeningWorkers()).toBe(0);
    const app = await start();
    await until("the worker listens", async () => (await listeningWorkers()) > 0);
    await Promise.all(["/signin", "/", "/api/trpc/plans.list"].map((path) => fetch(`${app.url}${path}`)));
    expect(await listeningWorkers()).toBe(1);
  });

  test("shares its database connections between the door and Next", async () => {
    const app = await start({ DATABASE_POOL: "3", BILLFOLD_WORKER: "off" });
    const { id } = await createTenant();
    const { key } = await createApiKey({ organizationId: id, name: "service", createdById: null, now: new Date() });
    const before = await connections();
    const input = encodeURIComponent(JSON.stringify({ json: { organizationId: id } }));
    const headers = { authorization: `Bearer ${key}` };
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        index % 2
          ? fetch(`${app.url}/api/trpc/credits.balance?input=${input}`, { headers }).then(({ status }) => status)
          : sendEvent(app, makeEvent("some.thing", { id: `x_${index}`, object: "thing" })),
      ),
    );
    expect(new Set(answers)).toEqual(new Set([200]));
    expect((await connections()) - before).toBeLessThanOrEqual(3);
  });

  test("that is asked to end gives the answer it owes, takes no more, and ends", async () => {
    const app = await start();
    const { id } = await createTenant();
    await addLot({ organizationId: id, amount: 10 });
    const { key } = await createApiKey({ organizationId: id, name: "service", createdById: null, now: new Date() });
    const agent = new Agent({ keepAlive: true });
    onTestFinished(() => agent.destroy());
    expect((await take(app, agent, { id, key, idempotencyKey: "before" })).status).toBe(200);

    // Somebody else moves the organization's credits, and the take has to wait.
    const blocker = new pg.Client({ connectionString: world.database.superuserUrl });
    await blocker.connect();
    onTestFinished(() => blocker.end());
    await blocker.query("BEGIN");
    await blocker.query("SELECT 1 FROM credit_accounts WHERE organization_id = $1 FOR UPDATE", [id]);
    const owed = take(app, agent, { id, key, idempotencyKey: "owed" });
    await until("the take waits", async () => {
      const [row] = await world.sql<{ count: number }>(
        "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      return row?.count === 1;
    });
    const stopped = app.stop();
    await until("nobody is let in", () =>
      fetch(app.url).then(
        () => false,
        () => true,
      ),
    );
    await blocker.query("COMMIT");
    expect(await owed).toMatchObject({ status: 200 });
    await stopped;
    expect((await expectLawfulLedger(world.sql, id)).balance).toBe(8);
  });
});

async function connections(): Promise<number> {
  const [row] = await world.sql<{ count: number }>(
    "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database()",
  );
  return row?.count ?? 0;
}

/** Takes a credit over a connection that is kept. */
function take(app: App, agent: Agent, call: { id: string; key: string; idempotencyKey: string }) {
  const { id, key, idempotencyKey } = call;
  const json = { organizationId: id, eventName: "api_call_basic", quantity: 1, idempotencyKey };
  const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
  return new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const options = { method: "POST", agent, headers };
    const outgoing = request(`${app.url}/api/trpc/credits.consume`, options, (incoming) => {
      let text = "";
      incoming.on("data", (chunk) => {
        text += chunk;
      });
      incoming.on("end", () => resolve({ status: incoming.statusCode, text }));
    });
    outgoing.on("error", reject);
    outgoing.end(JSON.stringify({ json }));
  });
}
