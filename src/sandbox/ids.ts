// Identifiers in Stripe's form: a prefix that tells the kind, then letters and digits. Whoever makes an id need not know
// where its letters come from: the sandbox whose work is in hand says so.
import { createHash, randomBytes } from "node:crypto";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Where randomness comes from. Streams do not disturb each other: a request's id changes no customer's. */
export interface Randomness {
  /** At least so many bytes, never the same again. */
  bytes(stream: string, length: number): Uint8Array;
}

const SYSTEM: Randomness = { bytes: (_, length) => randomBytes(length) };

/** Nothing but a seed decides what comes; no clock, and no other stream. */
class Seeded implements Randomness {
  private readonly drawn = new Map<string, number>();

  constructor(private readonly seed: string) {}

  bytes(stream: string, length: number): Uint8Array {
    const turn = this.drawn.get(stream) ?? 0;
    this.drawn.set(stream, turn + 1);
    const blocks: Buffer[] = [];
    for (let block = 0; block * 64 < length; block += 1) {
      blocks.push(createHash("sha512").update(`${this.seed}\n${stream}\n${turn}\n${block}`).digest());
    }
    return Buffer.concat(blocks);
  }
}

/** The system's randomness, or that of a seed. */
export function randomnessOf(seed: string | null): Randomness {
  return seed === null ? SYSTEM : new Seeded(seed);
}

let inHand: Randomness = SYSTEM;

/** Runs work whose ids come from a source. The work is synchronous, so several sandboxes in one process do not mix. */
export function drawingFrom<R>(source: Randomness, work: () => R): R {
  const outer = inHand;
  inHand = source;
  try {
    return work();
  } finally {
    inHand = outer;
  }
}

/** Random base-62 text. */
export function randomText(length: number, stream = "text"): string {
  let text = "";
  while (text.length < length) {
    for (const byte of inHand.bytes(stream, length * 2)) {
      // 248 = 4 × 62: bytes above it would make the first letters likelier.
      if (byte < 248 && text.length < length) text += ALPHABET[byte % 62];
    }
  }
  return text;
}

/** A new id such as `cus_Q1w2…`. */
export function newId(prefix: string, length = 24): string {
  return `${prefix}_${randomText(length, prefix)}`;
}
