// Who of several processes sends what is in a spool: a file that its holder touches while it lives.
import { randomUUID } from "node:crypto";
import { open, readFile, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { absentAs } from "./spool-disk";

// A holder that has not touched its lock for so long is gone. Should it not be, keys make a double sending harmless.
const STALE_MS = 30_000;
const TOUCH_MS = 5_000;

/** Locks that live in this process, to know a left-over of an earlier one that had the same pid. */
const ownLocks = new Set<string>();

export interface Lock {
  release(): Promise<void>;
}

/** Who sends; null where another process does. It only saves work: two who send do no harm. */
export async function takeLock(path: string): Promise<Lock | null> {
  const id = randomUUID();
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const file = await open(path, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") return null;
      throw error;
    });
    if (file) {
      ownLocks.add(id);
      await file.writeFile(JSON.stringify({ id, pid: process.pid, host: hostname() }));
      await file.close();
      const touch = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => {}), TOUCH_MS);
      touch.unref();
      return {
        async release() {
          clearInterval(touch);
          ownLocks.delete(id);
          const holder = await readFile(path, "utf8").catch(absentAs(""));
          if (holder.includes(id)) await rm(path, { force: true });
        },
      };
    }
    if (!(await isAbandoned(path))) return null;
    await rm(path, { force: true });
  }
  return null;
}

async function isAbandoned(path: string): Promise<boolean> {
  const found = await stat(path).catch(absentAs(null));
  if (!found) return true;
  if (Date.now() - found.mtimeMs > STALE_MS) return true;
  try {
    const { id, pid, host } = JSON.parse(await readFile(path, "utf8")) as { id: string; pid: number; host: string };
    if (host !== hostname()) return false;
    if (pid === process.pid) return !ownLocks.has(id);
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
