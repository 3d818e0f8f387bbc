// What survives: a restart, a torn last line, time that passed while it was down. And starting over.

import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { catalogue, openSandbox, payOnce, SECRET_KEY, subscribe, utc } from "./setup";

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "sandbox-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

it("a subscription goes on renewing after a restart, and a torn last line is left out", async () => {
  const before = await openSandbox({ dataDir, now: utc(2026, 1, 1) });
  const { price, customer } = await catalogue(before);
  const { id } = await subscribe(before, { price: price.id, customer: customer.id });
  await before.close();
  appendFileSync(join(dataDir, "sandbox.jsonl"), '[["customers","cus_torn",{"id":"cus_t');

  const after = await openSandbox({ dataDir });
  expect(await after.control("clock")).toEqual({ now: utc(2026, 1, 1), frozen: true });
  await after.setClock(utc(2026, 3, 2));
  expect((await after.stripe.invoices.list({ subscription: id })).data.map(({ status }) => status)).toEqual([
    "paid",
    "paid",
    "paid",
  ]);
  expect((await after.stripe.customers.list()).data).toHaveLength(1);
  await after.close();
  expect(readFileSync(join(dataDir, "sandbox.jsonl"), "utf8")).not.toContain("cus_torn");
});

it("a refund on its way and an open dispute are settled after a restart", async () => {
  const before = await openSandbox({ dataDir, now: utc(2026, 1, 1) });
  const [one, other] = [await payOnce(before, "pm_card_pendingRefund"), await payOnce(before)];
  const refund = await before.stripe.refunds.create({ charge: one.charge, amount: 100 });
  await before.control("disputes", { charge: other.charge });
  await before.close();

  const after = await openSandbox({ dataDir });
  expect((await after.stripe.refunds.retrieve(refund.id)).status).toBe("pending");
  expect((await after.stripe.disputes.list({ charge: other.charge })).data).toMatchObject([
    { status: "needs_response" },
  ]);
  await after.setClock(utc(2026, 1, 20));
  expect((await after.stripe.refunds.retrieve(refund.id)).status).toBe("succeeded");
  expect((await after.stripe.disputes.list({ charge: other.charge })).data).toMatchObject([{ status: "lost" }]);
  const kept = await after.stripe.balanceTransactions.list({ source: refund.id });
  expect(kept.data).toMatchObject([{ amount: -100 }]);
  await after.close();
});

it("back in real time, all that fell due meanwhile has happened", async () => {
  const sandbox = await openSandbox({ now: Math.floor(Date.now() / 1000) - 65 * 86_400 });
  const { price, customer } = await catalogue(sandbox);
  const { id } = await subscribe(sandbox, { price: price.id, customer: customer.id });
  await sandbox.setClock(null);
  expect((await sandbox.stripe.invoices.list({ subscription: id })).data.length).toBeGreaterThanOrEqual(3);
  expect(await sandbox.control("clock")).toMatchObject({ frozen: false });
  await sandbox.control("reset", {});
  expect((await sandbox.stripe.customers.list()).data).toEqual([]);
  await sandbox.close();
});

it("a request that is refused half-way leaves nothing behind", async () => {
  const sandbox = await openSandbox();
  const { price } = await catalogue(sandbox);
  const poor = await sandbox.stripe.customers.create({ email: "poor@example.com" });
  const seen = (await sandbox.stripe.events.list()).data[0]?.id;
  const refused = sandbox.stripe.subscriptions.create({
    customer: poor.id,
    items: [{ price: price.id }],
    payment_behavior: "error_if_incomplete",
  });
  await expect(refused).rejects.toThrow("no attached payment source");
  expect((await sandbox.stripe.subscriptions.list({ status: "all" })).data).toEqual([]);
  expect((await sandbox.stripe.events.list()).data[0]?.id).toBe(seen);
  await sandbox.close();
});

/** Runs the sandbox as its own process. */
function run(env: Record<string, string>) {
  const child = spawn(process.execPath, ["--import", "tsx", join("src", "sandbox", "main.ts")], {
    env: { ...process.env, STRIPE_SECRET_KEY: SECRET_KEY, SANDBOX_DATA_DIR: dataDir, ...env },
  });
  let output = "";
  child.stdout.on("data", (data: Buffer) => {
    output += data;
  });
  child.stderr.on("data", (data: Buffer) => {
    output += data;
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  const ready = new Promise<void>((resolve) => child.stdout.once("data", () => resolve()));
  return { child, ended, ready, output: () => output };
}

it("as a process it says when it is ready, and stops when it is asked to", async () => {
  const { child, ended, ready, output } = run({ SANDBOX_PORT: "0", SANDBOX_SMTP_PORT: "0" });
  await Promise.race([ready, ended]);
  expect(output()).toMatch(/^Stripe sandbox ready at http:\/\/127\.0\.0\.1:\d+ \(mail: smtp:\/\/127\.0\.0\.1:\d+\)\n$/);
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
}, 30_000);

it("as a process on a taken port it says what to do", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", () => resolve()));
  const address = other.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const { ended, output } = run({ SANDBOX_PORT: String(port), SANDBOX_SMTP_PORT: "0" });
  expect(await ended).toBe(1);
  expect(output().trim()).toBe(
    `Port ${port} is taken: stop what listens there, or set SANDBOX_PORT (or SANDBOX_SMTP_PORT) to another one.`,
  );
  other.close();
}, 30_000);
