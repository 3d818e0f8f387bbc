// Children are ended with all that they started, and strangers are left alone.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe, expect, it } from "vitest";
import { childEnv } from "~/cli/child-env";
import { Children, endRecorded } from "~/cli/children";
import { endGroup, isAlive, lastLines, spawnLogged, startTimeOf } from "~/cli/processes";

const directory = mkdtempSync(join(tmpdir(), "billfold-processes-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const node = (name: string, script: string) => ({
  name,
  command: process.execPath,
  args: ["-e", script],
  env: childEnv(),
  logFile: join(directory, `${name}.log`),
});

const FOREVER = "setInterval(() => {}, 1000); console.log('ready')";
const STUBBORN = `process.on('SIGTERM', () => {}); ${FOREVER}`;
const PARENT = `const c = require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(FOREVER)}]); console.log(c.pid); ${FOREVER}`;

async function untilLogged(logFile: string, text: string): Promise<string> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const log = lastLines(logFile, 10);
    if (log.includes(text)) return log;
    await sleep(50);
  }
  throw new Error(`${logFile} never said ${text}`);
}

describe("a child", () => {
  it("is ended with its own children", async () => {
    const child = await spawnLogged(node("parent", PARENT));
    const log = await untilLogged(child.logFile, "ready");
    const grandchild = Number(log.split("\n")[0]);
    expect(isAlive(grandchild)).toBe(true);
    await endGroup(child.pid, 3000);
    expect([isAlive(child.pid), isAlive(grandchild)]).toEqual([false, false]);
  });

  it("that ignores SIGTERM is killed after the grace period", async () => {
    const child = await spawnLogged(node("stubborn", STUBBORN));
    await untilLogged(child.logFile, "ready");
    await endGroup(child.pid, 200);
    expect((await child.exited).signal).toBe("SIGKILL");
  });

  it("that cannot be started says so", async () => {
    const options = { ...node("missing", ""), command: join(directory, "no-such-program") };
    await expect(spawnLogged(options)).rejects.toThrow("missing could not be started");
  });
});

describe("children of a command", () => {
  it("are all ended, and are written down while they run", async () => {
    let recorded: { name: string; pid: number; startedAt: string | null }[] = [];
    const children = new Children((list) => {
      recorded = list;
    });
    const pids = [await children.spawn(node("one", FOREVER)), await children.spawn(node("two", FOREVER))].map(
      ({ pid }) => pid,
    );
    expect(recorded.map(({ name }) => name)).toEqual(["one", "two"]);
    expect(recorded.every(({ startedAt }) => startedAt)).toBe(true);
    await children.stopAll();
    expect(pids.some(isAlive)).toBe(false);
    expect(recorded).toEqual([]);
  });
});

describe("what a killed run left behind", () => {
  it("is ended when it is what was recorded, and left alone when the number now is somebody else's", async () => {
    const left = await spawnLogged(node("left", FOREVER));
    const stranger = await spawnLogged(node("stranger", FOREVER));
    const ended = await endRecorded([
      { name: "left", pid: left.pid, startedAt: startTimeOf(left.pid) },
      { name: "stranger", pid: stranger.pid, startedAt: "long ago" },
      { name: "unknown", pid: stranger.pid, startedAt: null },
    ]);
    expect(ended.map(({ name }) => name)).toEqual(["left"]);
    expect([isAlive(left.pid), isAlive(stranger.pid)]).toEqual([false, true]);
    await endGroup(stranger.pid, 2000);
  });
});

describe("the environment of a child", () => {
  it("keeps what the system needs and drops what configures an app", () => {
    const ambient = {
      PATH: "/bin",
      Path: "C:\\",
      HOME: "/me",
      DATABASE_URL: "mine",
      STRIPE_SECRET_KEY: "sk_live",
      NODE_ENV: "x",
    };
    const env = childEnv({ PORT: "3000" }, ambient);
    expect(env).toMatchObject({ PATH: "/bin", Path: "C:\\", HOME: "/me", PORT: "3000" });
    for (const name of ["DATABASE_URL", "STRIPE_SECRET_KEY", "NODE_ENV"]) expect(env).not.toHaveProperty(name);
  });
});
