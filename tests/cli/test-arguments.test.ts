// What `npm test -- …` runs.
import { describe, expect, it } from "vitest";
import { parseArguments } from "~/cli/test";

describe("npm test", () => {
  it("runs everything when nothing is named", () => {
    expect(parseArguments([])).toEqual({ suites: ["lint", "types", "unit", "integration", "e2e"], filters: [] });
  });
  it("runs the named suites, in their own order", () => {
    expect(parseArguments(["e2e", "lint"])).toEqual({ suites: ["lint", "e2e"], filters: [] });
  });
  it("hands paths and options on to vitest", () => {
    const args = ["integration", "credits", "-t", "unit"];
    expect(parseArguments(args)).toEqual({ suites: ["integration"], filters: ["credits", "-t", "unit"] });
  });
  it("looks for a path in each of vitest's suites", () => {
    expect(parseArguments(["tests/cli/ports"])).toEqual({
      suites: ["unit", "integration", "e2e"],
      filters: ["tests/cli/ports"],
    });
  });
});
