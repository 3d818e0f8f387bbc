import { expect, test } from "vitest";
import { applyPatch, plant, readBugs, takeBack, withTree } from "./life/bugs";

/** Enough for bugs that show with whoever subscribes first. */
const FIRST_FORTNIGHT = ["--days", "14", "--organizations", "3", "--seed", "1"];

test("each planted bug applies to the tree, and says what it breaks", async () => {
  await withTree(async (tree) => {
    const bugs = await readBugs();
    expect(bugs.length).toBeGreaterThanOrEqual(20);
    for (const { patch, says, name } of bugs) {
      expect(says, name).toMatch(/\(.{5,}\)\.$/);
      expect(applyPatch(tree, patch), name).toBeNull();
      expect(takeBack(tree, patch), name).toBeNull();
    }
  });
}, 60_000);

test("bugs that are planted are caught, each by its truth", async () => {
  const caught: Record<string, string | null> = {};
  await withTree(async (tree) => {
    for (const bug of await readBugs(["01-", "09-"])) {
      const { name, caughtBy } = await plant(tree, bug, FIRST_FORTNIGHT);
      caught[name] = caughtBy;
    }
  });
  expect(caught).toEqual({
    "01-grant-keyed-by-the-look": "no slice is granted twice",
    "09-trial-invoice-is-a-period": "each allowance was paid for",
  });
}, 300_000);
