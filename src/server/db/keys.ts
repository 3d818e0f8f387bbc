// Identifiers and fingerprints that rows are made with.
import { hash, randomBytes, randomFillSync } from "node:crypto";

let lastIdAt = -1;
let idsInMillisecond = 0;

/** A UUIDv7: ordered by time, within a millisecond by the order of making, so that inserts stay at the right edge of an index. */
export function newId(at: Date): string {
  const time = at.getTime();
  idsInMillisecond = time === lastIdAt ? (idsInMillisecond + 1) % 4096 : 0;
  lastIdAt = time;
  const bytes = randomBytes(16);
  bytes.writeUIntBE(time, 0, 6);
  bytes.writeUInt16BE(0x7000 | idsInMillisecond, 6);
  bytes[8] = 0x80 | ((bytes[8] ?? 0) & 0x3f);
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

// Random bytes are asked for by the page: a call for each id costs more than the id.
const pool = Buffer.alloc(4096);
let poolUsed = pool.length;

function randomUint32(): number {
  if (poolUsed + 4 > pool.length) {
    randomFillSync(pool);
    poolUsed = 0;
  }
  poolUsed += 4;
  return pool.readUInt32LE(poolUsed - 4);
}

/**
 * A version of an account that no other state of it has had, within the safe integers. Chance, not the next number: where a
 * decision was made on what a write was about to leave, and somebody else has written instead, the numbers would agree.
 */
export function newVersion(): number {
  return (randomUint32() % 2 ** 20) * 2 ** 32 + randomUint32();
}

const SEQ_FACTOR = 2 ** 22;

/**
 * The id of a ledger row: a UUIDv7 whose last 62 bits are the row's `seq` (40 bits) and chance (22 bits), so that a row is
 * found by its id through the ledger's primary key.
 */
export function newTransactionId(at: Date, seq: number): string {
  const time = at.getTime().toString(16).padStart(12, "0");
  const chance = randomUint32();
  const a = (0x7000 | (chance & 0xfff)).toString(16);
  // 62 bits: seq in the upper 40, chance in the lower 22; written as 30 and 32 bits, which are exact as numbers.
  const upper = Math.floor(seq / 2 ** 10);
  const lower = (seq % 2 ** 10) * SEQ_FACTOR + (randomUint32() % SEQ_FACTOR);
  const b = (0x80000000 + upper).toString(16).padStart(8, "0");
  const c = lower.toString(16).padStart(8, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-${a}-${b.slice(0, 4)}-${b.slice(4)}${c}`;
}

/** The `seq` that a ledger row's id carries. */
export function seqOfTransactionId(id: string): number {
  const hex = id.replaceAll("-", "");
  const upper = Number.parseInt(hex.slice(16, 24), 16) % 2 ** 30;
  const lower = Number.parseInt(hex.slice(24), 16);
  return upper * 2 ** 10 + Math.floor(lower / SEQ_FACTOR);
}

/** The instant that an id carries, right to the millisecond. */
export function instantOfId(id: string): Date {
  return new Date(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16));
}

/** SHA-256 in hex. */
export function sha256(text: string): string {
  // In one call: making an object to hash with takes longer than the hashing.
  return hash("sha256", text, "hex");
}

/** The fingerprint of a request's meaning: equal for equal values, whatever the order of their keys. */
export function fingerprint(value: unknown): string {
  return sha256(canonicalJson(value));
}

/** A JSON text that is the same for equal values, whatever the order of their keys. */
export function canonicalJson(value: unknown): string {
  if (value instanceof Date) return JSON.stringify(value.toISOString());
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(",")}]`;
  if (value !== null && typeof value === "object") {
    let text = "";
    for (const key of Object.keys(value).sort()) {
      const field = (value as Record<string, unknown>)[key];
      if (field !== undefined) text += `${text && ","}${JSON.stringify(key)}:${canonicalJson(field)}`;
    }
    return `{${text}}`;
  }
  return JSON.stringify(value);
}
