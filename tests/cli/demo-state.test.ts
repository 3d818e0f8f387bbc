// What the demo keeps from start to start, and what it hands to others.
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { demoFileOf, isRunning, newState, readState, writeState } from "~/cli/demo-state";
import { startTimeOf } from "~/cli/processes";

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "billfold-state-"));
  file = join(directory, "state.json");
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const seed = { organizationId: "o", organizationSlug: "acme", apiKey: "bk_1", platformApiKey: "bp_1" };
const webhook = { id: "we_1", secret: "whsec_1" };

describe("the demo's state", () => {
  it("has keys of its own in each checkout", () => {
    expect(newState().stripeSecretKey).toMatch(/^sk_test_[0-9a-f]{48}$/);
    expect(newState().stripeSecretKey).not.toBe(newState().stripeSecretKey);
    expect(newState().nextAuthSecret.length).toBeGreaterThanOrEqual(32);
  });
  it("comes back as it was written", () => {
    const state = { ...newState(), seed, webhook };
    writeState(state, file);
    expect(readState(file)).toEqual(state);
    expect(readdirSync(directory)).toEqual(["state.json"]);
  });
  it.skipIf(process.platform === "win32")("can be read by its owner only", () => {
    writeState(newState(), file);
    expect(statSync(file).mode & 0o077).toBe(0);
  });
  it("counts as none when seeding never came to its end, or when it cannot be read", () => {
    expect(readState(file)).toBeNull();
    writeState({ ...newState(), webhook }, file);
    expect(readState(file)).toBeNull();
    writeFileSync(file, "{ half");
    expect(readState(file)).toBeNull();
  });
});

describe("demo.json", () => {
  it("has exactly the promised fields", () => {
    const state = { ...newState(), seed, webhook, sandboxPort: 1 };
    const urls = { url: "http://localhost:3000", databaseUrl: "postgresql://x", stripeApiBase: "http://127.0.0.1:1" };
    expect(demoFileOf(state, urls)).toEqual({
      ...urls,
      stripeSecretKey: state.stripeSecretKey,
      webhookSecret: "whsec_1",
      organizationId: "o",
      organizationSlug: "acme",
      apiKey: "bk_1",
      platformApiKey: "bp_1",
    });
  });
});

describe("a demo that is written down as running", () => {
  const run = { pid: process.pid, startedAt: startTimeOf(process.pid), url: "", children: [] };
  it("runs when it is the same process", () => expect(isRunning(run)).toBe(true));
  it("does not run when its number belongs to another process now", () => {
    expect(isRunning({ ...run, startedAt: "long ago" })).toBe(false);
  });
  it("does not run when nothing is written down", () => expect(isRunning(null)).toBe(false));
});
