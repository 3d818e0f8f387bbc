// Plants known bugs, each in a copy of the working tree, and has the simulation find them: a truth that catches none is no truth.
import { execFileSync, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const PATCHES = fileURLToPath(new URL("../bugs", import.meta.url));
/** Two at a time: each lives in two processes. */
const AT_ONCE = 2;

export interface Bug {
  name: string;
  /** What went wrong elsewhere, and which law it breaks. */
  says: string;
  /** Options of the simulation under which it shows. */
  settings: string[];
  patch: string;
}

/** The bugs whose names contain one of `names`; all of them where none is named. In the order of their numbers. */
export async function readBugs(names: readonly string[] = []): Promise<Bug[]> {
  const files = (await readdir(PATCHES)).filter((file) => file.endsWith(".patch")).sort();
  const bugs = await Promise.all(files.map(readBug));
  return bugs.filter(({ name }) => names.length === 0 || names.some((wanted) => name.includes(wanted)));
}

async function readBug(file: string): Promise<Bug> {
  const patch = join(PATCHES, file);
  const [says, settings] = (await readFile(patch, "utf8")).split("\n");
  const options = /^# npm run sim -- (.+)$/.exec(settings ?? "")?.[1];
  if (!says?.startsWith("# ") || !options) throw new Error(`${file} does not begin with its two lines`);
  return { name: file.replace(/\.patch$/, ""), says: says.slice(2), settings: options.split(" "), patch };
}

export interface Outcome {
  name: string;
  /** The truth that was broken first; null where all held. */
  caughtBy: string | null;
  /** It does not apply to the tree, or the simulation did not come to a verdict: what it said last. */
  failure: string | null;
  seconds: number;
}

/** Runs the simulation in a copy of the tree with a bug planted, and takes it out again; with null as the tree is. */
export async function plant(tree: string, bug: Bug | null, settings: readonly string[]): Promise<Outcome> {
  const begun = performance.now();
  const name = bug?.name ?? "the tree as it is";
  const outcome = (caughtBy: string | null, failure: string | null): Outcome => ({
    ...{ name, caughtBy, failure },
    seconds: (performance.now() - begun) / 1000,
  });
  const refused = bug ? applyPatch(tree, bug.patch) : null;
  if (refused !== null) return outcome(null, `does not apply: ${refused}`);
  try {
    const { code, text } = await simulate(tree, settings);
    const truth = /^ {2}✘ (.+?): /m.exec(text)?.[1] ?? null;
    if (code === 0) return outcome(null, null);
    if (code === 1 && truth !== null) return outcome(truth, null);
    return outcome(null, /^\w*Error: .+$/m.exec(text)?.[0] ?? `ended with ${code}`);
  } finally {
    if (bug) takeBack(tree, bug.patch);
  }
}

/** Works in a copy of what the simulation is made of. Packages are those of the working tree. */
export async function withTree<T>(work: (tree: string) => Promise<T>): Promise<T> {
  const tree = await mkdtemp(join(tmpdir(), "billfold-bugs-"));
  try {
    for (const part of ["src", "prisma", "tests/simulation", "tests/setup", "package.json", "tsconfig.json"]) {
      await mkdir(join(tree, part, ".."), { recursive: true });
      await cp(join(ROOT, part), join(tree, part), { recursive: true });
    }
    await symlink(join(ROOT, "node_modules"), join(tree, "node_modules"));
    return await work(tree);
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

/** @returns why it does not apply; null where it did */
export const applyPatch = (tree: string, patch: string): string | null => apply(tree, patch);

/** Takes a patch out of a tree again. @returns why that was not possible; null where it was */
export const takeBack = (tree: string, patch: string): string | null => apply(tree, patch, "--reverse");

function apply(tree: string, patch: string, ...options: string[]): string | null {
  try {
    // Not as a part of whatever repository the copy may lie in.
    const env = { ...process.env, GIT_CEILING_DIRECTORIES: join(tree, "..") };
    execFileSync("git", ["apply", ...options, patch], { cwd: tree, env, stdio: "pipe" });
    return null;
  } catch (error) {
    return String((error as { stderr?: Buffer }).stderr ?? error).trim();
  }
}

function simulate(tree: string, settings: readonly string[]): Promise<{ code: number | null; text: string }> {
  const main = join(tree, "tests/simulation/life/main.ts");
  const child = spawn(process.execPath, ["--import", "tsx/esm", main, ...settings, "--short"], {
    cwd: tree,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (part: Buffer) => (text += part));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, text })));
}

/**
 * Plants bugs one by one and tells what became of each; before them, the tree as it is under the settings that they have.
 * @returns whether all were caught, and nothing was where none is planted
 */
export async function plantAll(names: readonly string[]): Promise<boolean> {
  const bugs = await readBugs(names);
  if (bugs.length === 0) throw new Error(`no bug has a name with ${names.join(" or ")}`);
  const settings = [...new Set(bugs.map((bug) => bug.settings.join(" ")))];
  const runs: { bug: Bug | null; settings: string[] }[] = [
    ...settings.map((given) => ({ bug: null, settings: given.split(" ") })),
    ...bugs.map((bug) => ({ bug, settings: bug.settings })),
  ];
  let isRight = true;
  const worker = async (tree: string) => {
    for (let run = runs.shift(); run; run = runs.shift()) {
      const outcome = await plant(tree, run.bug, run.settings);
      if (run.bug ? outcome.caughtBy === null : (outcome.caughtBy ?? outcome.failure) !== null) isRight = false;
      process.stdout.write(`${lineOf(outcome, run.bug ? "NOT CAUGHT" : `holds (${run.settings.join(" ")})`)}\n`);
    }
  };
  process.stdout.write(`${"bug".padEnd(40)}  ${"s".padStart(5)}  caught by\n`);
  await Promise.all(Array.from({ length: AT_ONCE }, () => withTree(worker)));
  process.stdout.write(isRight ? "All were caught.\n" : "Not as it should be.\n");
  return isRight;
}

function lineOf({ name, caughtBy, failure, seconds }: Outcome, otherwise: string): string {
  return `${name.padEnd(40)}  ${seconds.toFixed(0).padStart(5)}  ${caughtBy ?? failure ?? otherwise}`;
}
