// `npm run stripe:sync [-- --dry-run] [--yes] [--live] [--adopt] [--roll-secret]`: puts the catalogue, the webhook endpoint and
// the portal's configuration into the Stripe account behind STRIPE_SECRET_KEY. It shows what it would do and asks first.
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import "./load-env";
import { BillingError } from "~/domain/errors";
import { applyPush, type Change, changesOf, type PushPlan, planPush } from "~/server/billing/stripe-catalogue";
import { now } from "~/server/clock";
import { asPlatform, disconnect } from "~/server/db";
import { env, publicUrl, webhookSecrets } from "~/server/env";
import { isLiveMode } from "~/server/stripe";
import { retryQuarantined } from "~/server/webhooks/replay";

const USAGE = `Puts the catalogue, the webhook endpoint and the portal's configuration into a Stripe account.

  npm run stripe:sync                  shows what would change, and asks
  npm run stripe:sync -- --dry-run     only shows it
  npm run stripe:sync -- --yes         does not ask
  npm run stripe:sync -- --live        for a live key, which is refused without it
  npm run stripe:sync -- --adopt       for another account than the stored ids belong to: they are forgotten, and found anew
  npm run stripe:sync -- --roll-secret makes another endpoint with a secret of its own; the run after it ends the one before`;

const SIGNS: Record<Change["action"], string> = { create: "+", update: "~", archive: "-", link: "=", keep: " " };
const NOUNS: Record<Change["kind"], [one: string, many: string]> = {
  product: ["product", "products"],
  price: ["price", "prices"],
  meter: ["meter", "meters"],
  portal_configuration: ["portal configuration", "portal configurations"],
  webhook_endpoint: ["webhook endpoint", "webhook endpoints"],
};

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      "dry-run": { type: "boolean", default: false },
      yes: { type: "boolean", default: false },
      live: { type: "boolean", default: false },
      adopt: { type: "boolean", default: false },
      "roll-secret": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  if (isLiveMode() && !values.live) {
    console.error("STRIPE_SECRET_KEY is a live key. If you mean it, say so: npm run stripe:sync -- --live");
    return 2;
  }
  const secrets: string[] = [];
  const url = publicUrl("/api/billing/webhook/stripe");
  const reachable = isReachable(url);
  const endpoint = {
    url,
    rollSecret: values["roll-secret"],
    onSecret: (made: { secret: string }) => void secrets.push(made.secret),
  };
  const plan = await planPush({ meters: true, adopt: values.adopt, ...(reachable ? { endpoint } : {}) });
  show(plan);
  if (!reachable) {
    console.log(
      `Stripe cannot reach ${url}, so no endpoint is made. For trying out: stripe listen --forward-to ${url}`,
    );
  }
  if (changesOf(plan).length === 0 || values["dry-run"]) return 0;
  if (!values.yes && !(await isConfirmed())) return 2;
  await applyPush(plan, (change) => console.log(`done: ${lineOf(change)}`));
  // What was put aside for a price that nobody knew may be known now.
  const retried = await asPlatform((tx) => retryQuarantined(tx, {}, now()));
  if (retried > 0) console.log(`${retried} events that had been put aside are looked at again.`);
  tellSecret(secrets, reachable);
  return 0;
}

function show(plan: PushPlan): void {
  const { accountId, livemode, changes, leavesBehind } = plan;
  console.log(`Stripe account ${accountId}, ${livemode ? "live" : "test"} mode`);
  if (leavesBehind) {
    console.log(
      `The stored ids of another account are forgotten. ${leavesBehind.customers} customers and ${leavesBehind.subscriptions} subscriptions ` +
        "are there and not here: the next reconciliation unlinks and ends them.",
    );
  }
  const wanted = changesOf(plan);
  for (const change of wanted) {
    console.log(`  ${lineOf(change)}`);
    for (const detail of change.details) console.log(`      ${detail}`);
  }
  const kept = changes.filter(({ action }) => action === "keep");
  console.log(
    wanted.length === 0
      ? `Nothing to do: ${countsOf(kept)} are as they should be.`
      : `${countsOf(wanted)} to change; ${kept.length === 0 ? "nothing is" : `${countsOf(kept)} are`} as it should be.`,
  );
}

const lineOf = ({ action, kind, name }: Change) => `${SIGNS[action]} ${action} ${NOUNS[kind][0]} ${name}`;

/** `7 products, 20 prices, 1 portal configuration` */
function countsOf(changes: readonly Change[]): string {
  const kinds = Object.keys(NOUNS) as Change["kind"][];
  return kinds
    .map((kind) => ({ kind, count: changes.filter((change) => change.kind === kind).length }))
    .filter(({ count }) => count > 0)
    .map(({ kind, count }) => `${count} ${NOUNS[kind][count === 1 ? 0 : 1]}`)
    .join(", ");
}

async function isConfirmed(): Promise<boolean> {
  if (!process.stdin.isTTY) {
    console.error("Nothing was changed: there is no terminal to ask at. To apply this: npm run stripe:sync -- --yes");
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question("Apply this? [y/N] ");
  terminal.close();
  if (/^y(es)?$/i.test(answer.trim())) return true;
  console.log("Nothing was changed.");
  return false;
}

function tellSecret(secrets: readonly string[], reachable: boolean): void {
  const others = webhookSecrets();
  for (const secret of secrets) {
    console.log(
      `\nSet STRIPE_WEBHOOK_SECRET=${[...others, secret].join(",")}\nStripe does not show this secret again.`,
    );
  }
  if (secrets.length === 0 && others.length === 0 && reachable) {
    console.log(
      "STRIPE_WEBHOOK_SECRET is not set, and Stripe shows an endpoint's secret only once: --roll-secret makes another.",
    );
  }
}

/** Whether Stripe can send anything there: not to a machine of ours, unless it is a stand-in on that machine. */
function isReachable(url: string): boolean {
  const { hostname } = new URL(url);
  const isLocal = /^(localhost|127\.|\[::1\]|0\.0\.0\.0)/.test(hostname) || hostname.endsWith(".local");
  return !isLocal || env().STRIPE_API_BASE !== undefined;
}

try {
  process.exitCode = await main();
} catch (error) {
  const expected = error instanceof BillingError || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS");
  console.error(expected ? (error as Error).message : error);
  const { cause } = error as { cause?: unknown };
  if (error instanceof BillingError && cause instanceof Error) console.error(`Stripe says: ${cause.message}`);
  process.exitCode = error instanceof BillingError && error.code === "INVALID_INPUT" ? 2 : 1;
} finally {
  await disconnect();
}
