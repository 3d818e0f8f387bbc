// Everything that the app lives among, for a test file that needs it as processes: a database with the catalogue, the
// sandbox behind a line, and the app as often as it is wanted.
import Stripe from "stripe";
import { createBillingClient } from "~/client";
import { pushCatalogue } from "~/server/billing/stripe-catalogue";
import { setClock } from "../../../prisma/seed/sandbox";
import { type App, type AppOptions, startApp, startSandboxForTests } from "../../setup/app";
import { openLedger, sessionOf } from "../../setup/billing";
import { openStripeLine } from "./stripe-line";

export const SESSION_SECRET = "the secret of the sessions in the e2e tests";

/**
 * The database and the sandbox are each file's own. The app is started with `startInstance`.
 * @param options.since where a history is to be made: the instant at which Stripe's clock stands at first
 */
export async function openWorld(options: { since?: Date } = {}) {
  const sandbox = await startSandboxForTests();
  const line = await openStripeLine(sandbox.url);
  const ledger = await openLedger({
    STRIPE_SECRET_KEY: sandbox.secretKey,
    // Whoever sets things up is not cut off.
    STRIPE_API_BASE: sandbox.url,
    NEXTAUTH_SECRET: SESSION_SECRET,
  });
  if (options.since) await setClock(options.since);
  await pushCatalogue();
  const { hostname, port } = new URL(sandbox.url);
  const stripe = new Stripe(sandbox.secretKey, { host: hostname, port, protocol: "http", telemetry: false });
  const running = new Set<App>();

  async function startInstance(options: Pick<AppOptions, "port" | "env"> & { webhookSecret: string }): Promise<App> {
    const { webhookSecret, env, ...rest } = options;
    const app = await startApp({
      ...rest,
      databaseUrl: ledger.database.url,
      stripe: { secretKey: sandbox.secretKey, webhookSecret, apiBase: line.url },
      ...(sandbox.smtpUrl ? { smtpUrl: sandbox.smtpUrl } : {}),
      env: { NEXTAUTH_SECRET: SESSION_SECRET, ...env },
    });
    running.add(app);
    const ended = (end: () => Promise<void>) => async () => {
      running.delete(app);
      await end();
    };
    return { ...app, stop: ended(app.stop), kill: ended(app.kill) };
  }

  /** Submits a checkout as its hosted page does. */
  async function pay(checkoutUrl: string): Promise<void> {
    const response = await fetch(`${sandbox.url}/_sandbox/checkout/${sessionOf(checkoutUrl)}/complete`, {
      method: "POST",
      body: JSON.stringify({ card: "4242424242424242" }),
    });
    if (!response.ok) throw new Error(`The sandbox refused to pay: ${response.status} ${await response.text()}`);
  }

  return {
    sql: ledger.sql,
    database: ledger.database,
    sandbox,
    line,
    /** Whoever works in Stripe's own dashboard. */
    stripe,
    startInstance,
    pay,
    async close() {
      line.restore();
      await Promise.all([...running].map((app) => app.stop()));
      await ledger.close();
      await line.close();
      await sandbox.close();
    },
  };
}

export type World = Awaited<ReturnType<typeof openWorld>>;

/** A client that asks once for each call and takes no for an answer. */
export function clientOf(app: App, apiKey: string) {
  return createBillingClient({ url: app.url, apiKey, timeoutMs: 60_000, maxRetries: 0, maxBatchSize: 1 });
}
