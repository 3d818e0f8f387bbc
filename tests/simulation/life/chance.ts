// Chance that follows from a seed. Each stream is its own, so that one more draw in one place changes nothing elsewhere.
import { createHash } from "node:crypto";

export class Chance {
  private state: number;

  constructor(seed: string) {
    this.state = createHash("sha256").update(seed).digest().readUInt32LE(0);
  }

  /** Of [0, 1): mulberry32, whose period is long enough for a life. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** A whole number of [from, to]. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  /** @param share from 0, never, to 1, always */
  happens(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(among: readonly T[]): T {
    const found = among[Math.floor(this.next() * among.length)];
    if (found === undefined) throw new Error("there is nothing to pick from");
    return found;
  }
}
