// Starting, recognising and ending operating-system processes. Nothing here knows what the processes are for.
import { type ChildProcess, execFileSync, type StdioOptions, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 50;

export type Child = {
  name: string;
  pid: number;
  process: ChildProcess;
  logFile: string;
  /** Resolves when the process has ended, with its exit code or signal. Never rejects. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
};

export type SpawnOptions = {
  name: string;
  command: string;
  args: string[];
  env: NodeJS.Dict<string>;
  logFile: string;
  cwd?: string;
  uid?: number;
  gid?: number;
};

/**
 * Starts a process as the leader of its own group, its output going to a log file. So a Ctrl-C in the terminal reaches
 * only us, and we end children in the right order.
 */
export async function spawnLogged(options: SpawnOptions): Promise<Child> {
  mkdirSync(dirname(options.logFile), { recursive: true });
  const log = openSync(options.logFile, "a");
  try {
    return await start(options, ["ignore", log, log]);
  } finally {
    closeSync(log);
  }
}

/** The same with its output shown where ours is. */
export function spawnShown(options: Omit<SpawnOptions, "logFile">): Promise<Child> {
  return start({ ...options, logFile: "" }, ["ignore", "inherit", "inherit"]);
}

async function start(options: SpawnOptions, stdio: StdioOptions): Promise<Child> {
  const child = spawn(options.command, options.args, {
    cwd: options.cwd,
    env: options.env as NodeJS.ProcessEnv,
    detached: true,
    stdio,
    uid: options.uid,
    gid: options.gid,
    windowsHide: true,
  });
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    child.once("error", () => resolve({ code: 127, signal: null }));
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(new Error(`${options.name} could not be started: ${error.message}`)));
  });
  return { name: options.name, pid: child.pid as number, process: child, logFile: options.logFile, exited };
}

/** Whether a process with this id exists (a zombie does not count). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return !isZombie(pid);
}

/** The command line of a process, or null when there is none or it cannot be told. */
export function commandLineOf(pid: number): string | null {
  try {
    if (process.platform === "linux") return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    if (process.platform === "win32") return windowsProcess(pid, "CommandLine");
    return execFileSync("ps", ["-ww", "-p", String(pid), "-o", "command="], { encoding: "utf8" }).trim();
  } catch {
    return null;
  }
}

/** When a process was started, as the system words it: with the id, this tells it from a later one of the same id. */
export function startTimeOf(pid: number): string | null {
  try {
    if (process.platform === "linux") return linuxStat(pid)[19] ?? null;
    if (process.platform === "win32") return windowsProcess(pid, "CreationDate.Ticks");
    return execFileSync("ps", ["-p", String(pid), "-o", "lstart="], { encoding: "utf8" }).trim() || null;
  } catch {
    return null;
  }
}

/** Sends a signal to a process and all of its group. A group that is already gone is fine. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  if (process.platform === "win32") {
    try {
      execFileSync("taskkill", ["/pid", String(pid), "/t", "/f"], { stdio: "ignore" });
    } catch {
      // already ended
    }
    return;
  }
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, signal);
      return;
    } catch {
      // No such group (any more): try the process itself.
    }
  }
}

/** Ends a process and its group: SIGTERM, and SIGKILL for whatever is left after the grace period. */
export async function endGroup(pid: number, graceMs: number): Promise<void> {
  signalGroup(pid, "SIGTERM");
  const deadline = Date.now() + graceMs;
  while (Date.now() < deadline) {
    if (!isGroupAlive(pid)) return;
    await sleep(POLL_MS);
  }
  signalGroup(pid, "SIGKILL");
  const killDeadline = Date.now() + 2000;
  while (isGroupAlive(pid) && Date.now() < killDeadline) await sleep(POLL_MS);
}

/** The last lines of a log file, for showing beside a failure. */
export function lastLines(file: string, count: number): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").slice(-count).join("\n");
  } catch {
    return "";
  }
}

/** Whether anything of the group still runs, also when its leader has ended. */
function isGroupAlive(pid: number): boolean {
  if (isAlive(pid)) return true;
  if (process.platform === "win32") return false;
  try {
    process.kill(-pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  return process.platform !== "linux" || hasLiveMember(pid);
}

/** A group of nothing but zombies answers to signals too, for as long as nobody collects them. */
function hasLiveMember(group: number): boolean {
  return readdirSync("/proc").some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const [state, , processGroup] = linuxStat(Number(name));
      return Number(processGroup) === group && state !== "Z";
    } catch {
      return false;
    }
  });
}

function isZombie(pid: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    return linuxStat(pid)[0] === "Z";
  } catch {
    return false;
  }
}

/** The fields of /proc/<pid>/stat from the third on: the second is a name in brackets that may hold anything. */
function linuxStat(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function windowsProcess(pid: number, property: string): string | null {
  const query = `(Get-CimInstance Win32_Process -Filter "ProcessId=${pid}").${property}`;
  return execFileSync("powershell", ["-NoProfile", "-Command", query], { encoding: "utf8" }).trim() || null;
}
