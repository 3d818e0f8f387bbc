// What the README draws and lists is what the code says.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BILLING_ERROR_CODES } from "~/domain/errors";
import { transitions } from "~/domain/subscription";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

describe("the README", () => {
  it("draws exactly the transitions that a subscription may make", () => {
    const diagram = readme.slice(readme.indexOf("stateDiagram-v2"));
    const drawn = [...diagram.matchAll(/^ {2}(\w+) --> (\w+)$/gm)].map(([, from, to]) => `${from} → ${to}`);
    expect(drawn.sort()).toEqual(
      transitions()
        .map(([from, to]) => `${from} → ${to}`)
        .sort(),
    );
  });

  it("names every code of failure", () => {
    for (const code of BILLING_ERROR_CODES) expect(readme).toContain(`\`${code}\``);
  });
});
