// What decides whether a clone is ready to run.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isInstalled, isSupportedNode } from "~/cli/bootstrap.mjs";

describe("isSupportedNode", () => {
  it.each(["20.19.0", "20.20.2", "21.0.0", "22.1.0", "24.0.0"])("accepts %s", (version) => {
    expect(isSupportedNode(version)).toBe(true);
  });
  it.each(["20.18.9", "20.9.0", "18.20.4", "16.0.0"])("refuses %s", (version) => {
    expect(isSupportedNode(version)).toBe(false);
  });
});

describe("isInstalled", () => {
  const lock = {
    packages: {
      "": { version: "1.0.0" },
      "node_modules/a": { version: "1.2.3" },
      "node_modules/native-mac": { version: "1.0.0", optional: true },
    },
  };
  it("is false when nothing is", () => expect(isInstalled(lock, null)).toBe(false));
  it("is true with the locked versions, whatever is for other platforms", () => {
    expect(isInstalled(lock, { packages: { "node_modules/a": { version: "1.2.3" } } })).toBe(true);
  });
  it("is false with another version", () => {
    expect(isInstalled(lock, { packages: { "node_modules/a": { version: "1.2.4" } } })).toBe(false);
  });
  it("is false when a package is missing", () => expect(isInstalled(lock, { packages: {} })).toBe(false));
});

describe("bootstrap.mjs", () => {
  const root = join(import.meta.dirname, "../..");
  it("names the commands it knows when given another", () => {
    const run = spawnSync(process.execPath, [join(root, "src/cli/bootstrap.mjs"), "nonsense"], { encoding: "utf8" });
    expect(run.status).toBe(1);
    expect(run.stderr).toContain('There is no command "nonsense". Known: demo, test.');
  });
  it("needs nothing but Node's built-ins until it has installed the rest", () => {
    const source = readFileSync(join(root, "src/cli/bootstrap.mjs"), "utf8");
    const imported = [...source.matchAll(/^import .* from "(.*)";$/gm)].map(([, name]) => name);
    expect(imported.length).toBeGreaterThan(0);
    expect(imported.filter((name) => !name?.startsWith("node:"))).toEqual([]);
  });
  it("asks for the Node that package.json asks for", () => {
    const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const minimum = engines.node.replace(">=", "");
    expect(isSupportedNode(`${minimum}.0`)).toBe(true);
    expect(isSupportedNode(`${minimum.split(".")[0]}.${Number(minimum.split(".")[1]) - 1}.0`)).toBe(false);
  });
});
