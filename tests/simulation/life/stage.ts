// What a simulated year plays on: a database of its own, Stripe's stand-in with a clock that stands still, and the app in this
// process. Nothing of it waits for real time.
import pg from "pg";
import Stripe from "stripe";
import { type Sandbox, startSandbox } from "~/sandbox/index";
import { pushCatalogue } from "~/server/billing/stripe-catalogue";
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import { receiveEvent } from "~/server/webhooks/receive";
import { seedCatalogue } from "../../../prisma/seed/catalogue";
import type { Sql } from "../../setup/billing";
import { openApp } from "../../setup/tenancy";
import { type Line, openLine } from "./line";

const STRIPE_KEY = "sk_test_of_the_simulation";
const WEBHOOK_SECRET = "whsec_of_the_simulation";
const PLATFORM_KEY_ID = "00000000-0000-7000-8000-000000000000";

/** The catalogue's own plans have no options; the simulation lives with them. */
const OPTIONS = {
  starter: { rolloverCap: 500n },
  pro: { rolloverCap: 2_000n, trialDays: 7, trialCredits: 500n },
} as const;

export const seconds = (at: Date): number => Math.floor(at.getTime() / 1000);

export interface Stage {
  sandbox: Sandbox;
  line: Line;
  /** Whoever works in Stripe's dashboard: past the line. */
  stripe: Stripe;
  sql: Sql;
  /** A price at Stripe that is no plan's: of something that is sold beside one. */
  addOn: string;
  /** Moves Stripe's clock; what falls due on the way happens there. */
  setClock(at: Date): Promise<void>;
  control(path: string, body: unknown): Promise<Record<string, unknown>>;
  /** Events that happened at Stripe since the last call, in their order there. */
  freshEvents(): Promise<Stripe.Event[]>;
  /** Hands one over, signed. @returns the status of the answer */
  deliver(event: Stripe.Event, now: Date): Promise<number>;
  close(): Promise<void>;
}

/** Opens the stage with the catalogue in the app and at Stripe. */
export async function openStage(seed: string, start: Date): Promise<Stage> {
  const sandbox = await startSandbox({ port: 0, secretKey: STRIPE_KEY, now: seconds(start), seed });
  const line = await openLine(sandbox, `${seed} line`);
  const app = await openApp({
    STRIPE_SECRET_KEY: STRIPE_KEY,
    STRIPE_API_BASE: line.url,
    STRIPE_WEBHOOK_SECRET: WEBHOOK_SECRET,
  });
  const pool = new pg.Pool({ connectionString: app.database.superuserUrl, max: 2 });
  // The pool says it has ended while its last sockets are still closing; dropping the database then cuts them off.
  pool.on("error", () => {});
  pool.on("connect", (client) => client.on("error", () => {}));
  const sql: Sql = async (text, values = []) => (await pool.query(text, values)).rows;
  await seedCatalogue(start);
  for (const [key, data] of Object.entries(OPTIONS)) {
    await asPlatform((tx) => tx.subscriptionPlan.update({ where: { key }, data }));
  }
  await sql("INSERT INTO api_keys (id, name, key_hash, hint, created_at) VALUES ($1, 'simulation', $2, 'bf_sim', $3)", [
    PLATFORM_KEY_ID,
    newId(start),
    start,
  ]);
  await pushCatalogue();
  const { hostname, port } = new URL(sandbox.url);
  const stripe = new Stripe(STRIPE_KEY, { host: hostname, port, protocol: "http", telemetry: false });

  const seat = { currency: "usd", unit_amount: 900, recurring: { interval: "month" as const } };
  const addOn = (await stripe.prices.create({ ...seat, product_data: { name: "Dedicated address" } })).id;

  async function control(path: string, body: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`${sandbox.url}/_sandbox/${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`the sandbox refused ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Record<string, unknown>;
  }

  const seen = new Set<string>();
  let newest = seconds(start);
  async function freshEvents(): Promise<Stripe.Event[]> {
    const fresh: Stripe.Event[] = [];
    for await (const event of stripe.events.list({ limit: 100, created: { gte: newest } })) {
      if (!seen.has(event.id)) fresh.push(event);
    }
    for (const { id } of fresh) seen.add(id);
    newest = Math.max(newest, ...fresh.map((event) => event.created));
    return fresh.reverse();
  }
  await freshEvents();

  return {
    sandbox,
    line,
    stripe,
    sql,
    addOn,
    setClock: async (at) => void (await control("clock", { now: seconds(at) })),
    control,
    freshEvents,
    async deliver(event, now) {
      const body = JSON.stringify(event);
      // Signatures are checked against the real time.
      const signature = Stripe.webhooks.generateTestHeaderString({ payload: body, secret: WEBHOOK_SECRET });
      const headers = { "content-type": "application/json", "stripe-signature": signature };
      const request = new Request("http://localhost/api/billing/webhook/stripe", { method: "POST", headers, body });
      return (await receiveEvent(request, now)).status;
    },
    async close() {
      line.cut = false;
      await pool.end();
      await app.close();
      await line.close();
      await sandbox.close();
    },
  };
}

export const PLATFORM_ACTOR = {
  kind: "service",
  apiKeyId: PLATFORM_KEY_ID,
  keyName: "simulation",
  organizationId: null,
} as const;
