// Consumes that could not be told to Billfold, kept in a file until they can be. Lines are only ever appended; a file is
// put aside as a whole before it is sent, and removed when each of its lines is done.
import { randomUUID } from "node:crypto";
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Contract } from "./contract";
import { type BillingClientFailure, billingErrorOf } from "./errors";
import { ignoringErrors } from "./hooks";
import { isAway } from "./retry";
import { absentAs, appendDurably, appendToExisting } from "./spool-disk";
import { digest, seal, unseal } from "./spool-line";
import { takeLock } from "./spool-lock";
import { readInput, writeInput } from "./transport";

/** A consume that waits, as it was asked for. */
export type SpooledConsume = Contract["credits"]["consume"]["input"];

/** The answer to a consume that was kept: nothing is taken yet, and nobody has said that there are credits for it. */
export interface Spooled {
  spooled: true;
  organizationId: string;
  /** The key under which it will be taken, once. */
  idempotencyKey: string;
}

export interface SpoolOptions {
  /**
   * The file, on a disk that outlives the process. Services that share it must share Billfold's address and key too.
   * Beside it lie `<path>.sending-…` while it is sent, and `<path>.dead` with what was refused for good.
   */
  path: string;
  /** Most bytes that wait; beyond them calls fail as without a spool. Default 16 MiB, some 40,000 consumes. */
  maxBytes?: number;
  /** A consume was told to Billfold at last. */
  onReplayed?(consume: SpooledConsume, answer: unknown): void;
  /** Billfold refused it for good, such as INSUFFICIENT_CREDITS: the work is done and not paid. It is in the dead file. */
  onRefused?(consume: SpooledConsume, failure: BillingClientFailure): void;
  /** Something is wrong that waiting alone does not mend: a key that is no good, a disk that is full, a line that is damaged. */
  onTrouble?(error: Error): void;
}

export interface Spool {
  /** Bytes that wait: 0 when all was sent. */
  pendingBytes(): Promise<number>;
  /** Sends what waits, now. @returns whether nothing is left */
  drain(): Promise<boolean>;
}

type Send = (consume: SpooledConsume) => Promise<unknown>;

const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
// A line that Billfold itself fails on must not stop those behind it for ever.
const MOST_INTERNAL_FAILURES = 5;
// Failures of the set-up, not of the consume: it waits until they are mended.
const OF_THE_SET_UP = new Set<string>(["UNAUTHENTICATED", "UNEXPECTED_ANSWER"]);

export class FileSpool implements Spool {
  readonly #options: SpoolOptions;
  readonly #send: Send;
  #queue: { line: string; resolve(): void; reject(error: Error): void }[] = [];
  #writing: Promise<void> | undefined;
  #draining: Promise<boolean> | undefined;
  #drainingNext: Promise<boolean> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #isClosed = false;
  #fileTurn: Promise<unknown> = Promise.resolve();
  readonly #internalFailures = new Map<string, number>();

  constructor(options: SpoolOptions, send: Send) {
    this.#options = options;
    this.#send = send;
    this.#drainIn(0);
  }

  /** Keeps a consume: it is on the disk when this returns. @throws Error where it cannot be kept */
  append(consume: SpooledConsume): Promise<void> {
    if (this.#isClosed) return Promise.reject(new Error("The client is closed."));
    const line = seal({ id: randomUUID(), consume: writeInput(consume) });
    return new Promise((resolve, reject) => {
      this.#queue.push({ line, resolve, reject });
      this.#writing ??= this.#writeQueue();
    });
  }

  async pendingBytes(): Promise<number> {
    const files = [this.#options.path, ...(await this.#sendingFiles())];
    const sizes = await Promise.all(files.map((file) => stat(file).then(({ size }) => size, absentAs(0))));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  drain(): Promise<boolean> {
    clearTimeout(this.#timer);
    // One that is under way may have given up already on what can be sent now.
    if (this.#draining) {
      this.#drainingNext ??= this.#draining.then(() => {
        this.#drainingNext = undefined;
        return this.drain();
      });
      return this.#drainingNext;
    }
    this.#draining = this.#drainLocked()
      .catch((error: Error) => {
        this.#trouble(error);
        return false;
      })
      .then(async (isEmpty) => {
        this.#draining = undefined;
        if (!isEmpty) {
          this.#drainIn(this.#pauseMs * (0.5 + Math.random() / 2));
          this.#pauseMs = Math.min(this.#pauseMs * 2, LONGEST_PAUSE_MS);
          return false;
        }
        this.#pauseMs = FIRST_PAUSE_MS;
        // Kept after the last look at the file, while this still counted as sending: nobody else sees to that.
        if ((await this.pendingBytes().catch(() => 1)) > 0) this.#drainIn(this.#pauseMs);
        return true;
      });
    return this.#draining;
  }

  /** Billfold answers again: what waits need not wait longer. */
  wake(): void {
    if (this.#timer === undefined || this.#draining) return;
    this.#pauseMs = FIRST_PAUSE_MS;
    void this.drain();
  }

  /** Stops sending, after the consume that is under way. What waits stays in the file. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#draining;
    clearTimeout(this.#timer);
  }

  // ── Keeping ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Writes what came together with one flush to the disk. */
  async #writeQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      const taken = this.#queue;
      this.#queue = [];
      try {
        // An empty line first: a line that a crash cut off must not swallow the next one.
        const text = Buffer.from(taken.map(({ line }) => `\n${line}\n`).join(""));
        const { path, maxBytes = DEFAULT_MAX_BYTES } = this.#options;
        if ((await this.pendingBytes()) + text.byteLength > maxBytes) throw new Error("The spool is full.");
        await this.#inTurn(() => appendDurably(path, text));
        for (const { resolve } of taken) resolve();
        if (this.#timer === undefined && !this.#draining) this.#drainIn(this.#pauseMs);
      } catch (error) {
        for (const { reject } of taken) reject(error as Error);
      }
    }
    this.#writing = undefined;
  }

  /** One at a time on the file, in this process: not put aside while lines are being added, which would then be there twice. */
  #inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#fileTurn.then(run);
    this.#fileTurn = turn.catch(() => {});
    return turn;
  }

  // ── Sending ────────────────────────────────────────────────────────────────────────────────────────────────

  #drainIn(ms: number): void {
    clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => void this.drain(), ms);
    // Waiting to send is no reason for a process to stay: what waits is on the disk.
    this.#timer.unref();
  }

  async #drainLocked(): Promise<boolean> {
    this.#timer = undefined;
    if ((await this.pendingBytes()) === 0) return true;
    const lock = await takeLock(`${this.#options.path}.lock`);
    if (!lock) return false;
    try {
      const done = new Set<string>();
      for (;;) {
        if (this.#isClosed) return false;
        const [file = await this.#inTurn(() => this.#putAside())] = await this.#sendingFiles();
        if (!file) return true;
        if (!(await this.#sendFile(file, done))) return false;
      }
    } finally {
      await lock.release();
    }
  }

  /** Oldest first. */
  async #sendingFiles(): Promise<string[]> {
    const { path } = this.#options;
    const prefix = `${basename(path)}.sending-`;
    const names = await readdir(dirname(path)).catch(absentAs<string[]>([]));
    return names
      .filter((name) => name.startsWith(prefix))
      .sort()
      .map((name) => join(dirname(path), name));
  }

  /** From here on nobody adds to these lines: who opened the file before sees that it moved, and adds to the new one too. */
  async #putAside(): Promise<string | undefined> {
    const { path } = this.#options;
    const aside = `${path}.sending-${String(Date.now()).padStart(15, "0")}-${randomUUID().slice(0, 8)}`;
    return rename(path, aside).then(() => aside, absentAs(undefined));
  }

  /**
   * @param done ids of lines that need not be sent; a line may be in two files
   * @returns whether all of it is done and the file is gone
   */
  async #sendFile(file: string, done: Set<string>): Promise<boolean> {
    let read = 0;
    for (;;) {
      const text = await readFile(file, "utf8").catch(absentAs(""));
      if (text.length === read) break;
      read = text.length;
      const lines = text.split("\n").filter((line) => line !== "");
      for (const line of lines) {
        const record = unseal(line);
        if (record?.done) done.add(record.done);
      }
      for (const line of lines) {
        const record = unseal(line);
        const id = record?.id ?? digest(line);
        if (record?.done || done.has(id)) continue;
        if (this.#isClosed) return false;
        if (record?.consume === undefined) await this.#bury(line, null);
        else if (!(await this.#sendOne(id, record.consume))) return false;
        done.add(id);
        const mark = `\n${seal({ done: id })}\n`;
        read += mark.length;
        await appendToExisting(file, mark);
      }
    }
    await rm(file, { force: true });
    return true;
  }

  /** @returns whether it need not be sent again */
  async #sendOne(id: string, body: string): Promise<boolean> {
    const consume = readInput(body) as SpooledConsume;
    try {
      const answer = await this.#send(consume);
      ignoringErrors(() => this.#options.onReplayed?.(consume, answer));
    } catch (error) {
      const failure = billingErrorOf(error);
      if (!failure) throw error;
      if (isAway(failure) || failure.code === "BUSY") return false;
      if (OF_THE_SET_UP.has(failure.code)) {
        this.#trouble(failure);
        return false;
      }
      if (failure.code === "INTERNAL") {
        const failures = (this.#internalFailures.get(id) ?? 0) + 1;
        this.#internalFailures.set(id, failures);
        if (failures < MOST_INTERNAL_FAILURES) return false;
      }
      await this.#bury(body, failure);
      ignoringErrors(() => this.#options.onRefused?.(consume, failure));
    }
    this.#internalFailures.delete(id);
    return true;
  }

  /** Into the dead file, before it is marked as done: it may be there twice, but is never nowhere. */
  async #bury(text: string, failure: BillingClientFailure | null): Promise<void> {
    const record = failure
      ? { consume: readInput(text), code: failure.code, message: failure.message, details: failure.details }
      : { damaged: text };
    await appendDurably(`${this.#options.path}.dead`, Buffer.from(`${JSON.stringify(record)}\n`));
    if (!failure) this.#trouble(new Error(`A line of the spool was damaged; it is in ${this.#options.path}.dead.`));
  }

  #trouble(error: Error): void {
    ignoringErrors(() => this.#options.onTrouble?.(error));
  }
}
