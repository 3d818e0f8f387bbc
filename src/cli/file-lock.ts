// A lock between processes of this machine: a file that names its holder.
import { readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, startTimeOf } from "./processes";

/** Takes a lock file, waiting for the process that holds it. A holder that is gone holds nothing. */
export async function takeLock(file: string): Promise<() => Promise<void>> {
  const mine = JSON.stringify({ pid: process.pid, startedAt: startTimeOf(process.pid) });
  for (;;) {
    try {
      await writeFile(file, mine, { flag: "wx" });
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    if (isAbandoned(await readFile(file, "utf8").catch(() => mine))) await rm(file, { force: true });
    else await sleep(200);
  }
}

function isAbandoned(content: string): boolean {
  try {
    const { pid, startedAt } = JSON.parse(content) as { pid: number; startedAt: string | null };
    return !isAlive(pid) || startTimeOf(pid) !== startedAt;
  } catch {
    // Being written at this moment: look again.
    return false;
  }
}
