// When the app has to be built again.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { contentHash, SERVER_FLAGS } from "~/cli/build";
import { ROOT } from "~/cli/demo-state";
import { takeLock } from "~/cli/file-lock";

let root: string;
const write = (file: string, content: string) => {
  mkdirSync(join(root, file, ".."), { recursive: true });
  writeFileSync(join(root, file), content);
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "billfold-build-"));
  write("src/app/page.tsx", "page");
  write("package-lock.json", "{}");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const hash = (values = {}) => contentHash(root, ["src", "package-lock.json", "public"], values);

it("`npm start` runs the server as the demo, the tests and the bench do", () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: { start: string } };
  expect(scripts.start).toBe(["node", ...SERVER_FLAGS, "src/cli/serve.ts"].join(" "));
});

describe("the content hash", () => {
  it("is the same for the same content", async () => {
    const before = await hash();
    write("src/app/page.tsx", "page");
    expect(await hash()).toBe(before);
  });
  it.each([
    ["src/app/page.tsx", "another page"],
    ["src/app/new.tsx", ""],
    ["package-lock.json", "{ }"],
    ["public/logo.svg", "<svg/>"],
  ])("changes with %s", async (file, content) => {
    const before = await hash();
    write(file, content);
    expect(await hash()).not.toBe(before);
  });
  it("changes when a file is renamed", async () => {
    const before = await hash();
    rmSync(join(root, "src/app/page.tsx"));
    write("src/app/pages.tsx", "page");
    expect(await hash()).not.toBe(before);
  });
  it("changes with a value that is built in", async () => {
    expect(await hash({ NEXT_PUBLIC_KEY: "a" })).not.toBe(await hash({ NEXT_PUBLIC_KEY: "b" }));
  });
  it("stays when what is no part of the app changes", async () => {
    const before = await hash();
    write("src/cli/demo.ts", "demo");
    write("src/sandbox/main.ts", "sandbox");
    write("src/server/db/generated/client.ts", "client");
    write("README.md", "read me");
    expect(await hash()).toBe(before);
  });
});

describe("the lock", () => {
  it("lets one in at a time", async () => {
    const file = join(root, "lock");
    const order: string[] = [];
    const release = await takeLock(file);
    const second = takeLock(file).then((releaseSecond) => {
      order.push("second in");
      return releaseSecond();
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    order.push("first out");
    await release();
    await second;
    expect(order).toEqual(["first out", "second in"]);
  });
  it("is taken over from a process that is gone", async () => {
    const file = join(root, "lock");
    writeFileSync(file, JSON.stringify({ pid: process.pid, startedAt: "in another life" }));
    const release = await takeLock(file);
    await release();
  });
});
