// Starting, recognising and ending operating-system processes. Nothing here knows what the processes are for.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync } from "node:fs";
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
  const child = spawn(options.command, options.args, {
    cwd: options.cwd,
    env: options.env as NodeJS.ProcessEnv,
    detached: true,
    stdio: ["ignore", log, log],
    uid: options.uid,
    gid: options.gid,
    windowsHide: true,
  });
  closeSync(log);
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
    if (process.platform === "win32") return windowsCommandLine(pid);
    return execFileSync("ps", ["-ww", "-p", String(pid), "-o", "command="], { encoding: "utf8" }).trim();
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

function isGroupAlive(pid: number): boolean {
  if (isAlive(pid)) return true;
  if (process.platform === "win32") return false;
  try {
    process.kill(-pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function isZombie(pid: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the name in brackets, which may itself hold spaces and brackets.
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) === "Z";
  } catch {
    return false;
  }
}

function windowsCommandLine(pid: number): string {
  const query = `(Get-CimInstance Win32_Process -Filter "ProcessId=${pid}").CommandLine`;
  return execFileSync("powershell", ["-NoProfile", "-Command", query], { encoding: "utf8" }).trim();
}
