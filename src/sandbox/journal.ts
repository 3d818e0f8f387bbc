// Keeps every write in a data directory: one JSON line for each unit of work, rewritten as a snapshot when it grows.
// A process killed in the middle loses at most the line it was writing.
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";

/** `[collection, id, value]`; a null value is a removal. */
export type Write = [collection: string, id: string, value: unknown];

const COMPACT_ABOVE_BYTES = 64 * 1024 * 1024;

export class Journal {
  private readonly file: string;
  private fd: number | null = null;
  private bytes = 0;
  /** What was true at the last rewrite took this much: below twice that, rewriting gains little. */
  private snapshotBytes = 0;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true });
    this.file = join(directory, "sandbox.jsonl");
  }

  /** Everything that was written, in order. A torn last line is left out. */
  *read(): Generator<Write[]> {
    let text: string;
    try {
      text = readFileSync(this.file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw error;
    }
    const lines = text.split("\n").filter((line) => line !== "");
    for (const [position, line] of lines.entries()) {
      try {
        yield JSON.parse(line) as Write[];
      } catch (error) {
        if (position === lines.length - 1) return;
        throw new Error(`${this.file}: line ${position + 1} cannot be read`, { cause: error });
      }
    }
  }

  /** Replaces the file by what is true now. */
  rewrite(writes: Iterable<Write>): void {
    this.close();
    const temporary = `${this.file}.tmp`;
    const fd = openSync(temporary, "w");
    this.bytes = 0;
    for (const write of writes) this.bytes += writeSync(fd, `${JSON.stringify([write])}\n`);
    this.snapshotBytes = this.bytes;
    fsyncSync(fd);
    closeSync(fd);
    renameSync(temporary, this.file);
    this.fd = openSync(this.file, "a");
  }

  /** Adds one unit of work; true when it is time to rewrite. */
  append(writes: Write[]): boolean {
    this.fd ??= openSync(this.file, "a");
    this.bytes += writeSync(this.fd, `${JSON.stringify(writes)}\n`);
    return this.bytes > Math.max(COMPACT_ABOVE_BYTES, 2 * this.snapshotBytes);
  }

  close(): void {
    if (this.fd === null) return;
    fsyncSync(this.fd);
    closeSync(this.fd);
    this.fd = null;
  }
}
