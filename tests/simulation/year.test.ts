import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { type Report, textOf } from "./life/report";

const SIM = fileURLToPath(new URL("../../src/cli/sim.ts", import.meta.url));

function simulate(...options: string[]): Promise<{ code: number | null; text: string; errors: string }> {
  const child = spawn(process.execPath, ["--import", "tsx/esm", SIM, ...options], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const told = { text: "", errors: "" };
  child.stdout.on("data", (part: Buffer) => (told.text += part));
  child.stderr.on("data", (part: Buffer) => (told.errors += part));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, ...told })));
}

const SHORT = ["--days", "18", "--organizations", "4"];

test("a short year in which everything fails that can breaks no truth, and the same seed is the same year to the byte", async () => {
  const [first, second] = await Promise.all([simulate(...SHORT, "--seed", "7"), simulate(...SHORT, "--seed", "7")]);
  expect(first.errors).toBe("");
  expect(first.text).toContain("Seed 7: 4 organizations, 18 days, faults: all\n");
  expect(first.text).toContain("\nEvery truth holds.\nFingerprint ");
  expect(first.code).toBe(0);
  expect(second).toEqual(first);
}, 180_000);

test("where nothing fails, nothing is lost and nobody finds anything to repair", async () => {
  const { code, text, errors } = await simulate(...SHORT, "--seed", "8", "--faults", "none");
  expect(errors).toBe("");
  expect(text).toMatch(/\nStripe told \d+ events: 0 lost, 0 copies, 0 late; 0 crashes between effect and mark\n/);
  expect(text).toMatch(/\nReconciler: \d+ runs, drift 0, repaired 0, for a person 0\n/);
  expect(text).toContain("\nEvery truth holds.\n");
  expect(code).toBe(0);
}, 180_000);

test("what it does not understand it does not live through", async () => {
  const { code, text, errors } = await simulate("--days", "many");
  expect(code).toBe(2);
  expect(text).toBe("");
  expect(errors).toContain("npm run sim -- --days 365 --seed 42 --organizations 50 --faults all");
}, 60_000);

test("a broken truth is told with the command that shows it again", () => {
  const settings = { days: 90, seed: "5", organizations: 12, faults: "none", short: true } as const;
  const report: Report = {
    post: { told: 3, lost: 0, copies: 0, late: 0 },
    callFaults: {},
    crashes: 0,
    reconciled: { runs: 1, drift: 0, repaired: 0, queued: 0 },
    deeds: {},
    sentences: {},
    ledger: [],
    subscriptions: [],
    organizations: [],
    breaches: [{ truth: "the price is Stripe's", where: "organization 3: sub_1" }],
  };
  const lines = textOf(settings, report).split("\n");
  expect(lines).toContain("1 breach:");
  expect(lines).toContain("  ✘ the price is Stripe's: organization 3: sub_1");
  expect(lines).toContain("Again: npm run sim -- --days 90 --seed 5 --faults none --organizations 12");
});
