// The disk under the spool: appending such that it lasts, to files that others may move or remove meanwhile.
import { constants } from "node:fs";
import { type FileHandle, mkdir, open, stat } from "node:fs/promises";
import { dirname } from "node:path";

const { O_APPEND, O_WRONLY } = constants;

/** Appends and flushes, to the file that has this name in the end. */
export async function appendDurably(path: string, text: Buffer): Promise<void> {
  const made = await mkdir(dirname(path), { recursive: true });
  if (made) await syncDirectory(dirname(made));
  for (;;) {
    const file = await open(path, "a", 0o600);
    try {
      const { size } = await file.stat();
      const { bytesWritten } = await file.write(text);
      if (bytesWritten !== text.byteLength) throw new Error("The disk of the spool is full.");
      await file.datasync();
      if (size === 0) await syncDirectory(dirname(path));
      // Put aside between opening and writing? Then these lines may never be read there.
      if (await isStill(file, path)) return;
    } finally {
      await file.close();
    }
  }
}

async function isStill(file: FileHandle, path: string): Promise<boolean> {
  const [open, named] = await Promise.all([file.stat(), stat(path).catch(absentAs(null))]);
  return named !== null && named.ino === open.ino && named.dev === open.dev;
}

/** A new name is only durable once its directory is. */
async function syncDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return; // Directories cannot be opened there.
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Appends to a file that is there; another process may have done all of it and removed it. */
export async function appendToExisting(path: string, text: string): Promise<void> {
  const file = await open(path, O_WRONLY | O_APPEND).catch(absentAs(null));
  await file?.write(text);
  await file?.close();
}

/** For what need not be there: a value instead of the error. */
export function absentAs<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === "ENOENT") return value;
    throw error;
  };
}
