// Each case of the list is a test by its name, or the README says which other test shows it, and that one is there.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { CASES } from "../integration/cases/cases";

const FOLDER = "tests/integration/cases";
const read = (path: string) => readFileSync(path, "utf8");

/** Whether a file has a test of this title, on however many lines it stands. */
const hasTest = (path: string, title: string) => {
  const quoted = JSON.stringify(title);
  return read(path)
    .split(quoted)
    .slice(0, -1)
    .some((before) => /\bit\(\s*$/.test(before));
};

/** Case, file and title of each line of the README's table. */
const elsewhere = read(`${FOLDER}/README.md`)
  .split("\n")
  .filter((line) => line.startsWith("| ") && line.includes(".test.ts |"))
  .map((line) => line.split("|").map((cell) => cell.trim()))
  .map(([, name = "", file = "", title = ""]) => ({ name, file, title }));

describe("the cases", () => {
  it.each(Object.entries(CASES))("of %s are each a test, or shown elsewhere", (section, names) => {
    const missing = names.filter(
      (name) => !hasTest(`${FOLDER}/${section}.test.ts`, name) && !elsewhere.some((line) => line.name === name),
    );
    expect(missing).toEqual([]);
  });

  it("that are shown elsewhere are cases of the list, shown by tests that are there", () => {
    const names: readonly string[] = Object.values(CASES).flat();
    expect(elsewhere.length).toBeGreaterThan(0);
    for (const { name, file, title } of elsewhere) {
      expect(names, name).toContain(name);
      expect(hasTest(file, title), `${file}: ${title}`).toBe(true);
    }
  });

  it("are seventy-five, none of them twice", () => {
    const names = Object.values(CASES).flat();
    expect(names).toHaveLength(new Set(names).size);
    expect(names).toHaveLength(75);
  });
});
