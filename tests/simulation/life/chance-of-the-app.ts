// What the app takes from the machine that it runs on, real time and real chance, so that a year follows from its seed alone: on a
// quiet machine as on one that has a hundred things to do.
import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { Chance } from "./chance";

/** Pauses between two tries are shorter than this; what is longer is a limit. */
const LONGEST_PAUSE_MS = 3_000;
const HURRIED_MS = 2;
/** A machine that stands still for a while does not make a limit come true. */
const LIMITS_ARE_LONGER = 30;

/** Takes real chance over, in this process, for good; once there is a database, whose name nobody else may have. */
export function leaveNothingToChance(seed: string): void {
  const chance = new Chance(`${seed} app`);
  Math.random = () => chance.next();
  countBytes();
}

/** Nobody waits between two tries: how long that takes is not what is simulated. */
export function hurry(): void {
  const later = globalThis.setTimeout;
  const hurried = (work: (...given: unknown[]) => void, ms = 0, ...given: unknown[]) =>
    later(work, ms <= LONGEST_PAUSE_MS ? Math.min(ms, HURRIED_MS) : ms * LIMITS_ARE_LONGER, ...given);
  globalThis.setTimeout = Object.assign(hurried, later) as typeof globalThis.setTimeout;
}

/** Random bytes count up, so that ids of the same instant are in the order in which they were made, whoever else has asked for some. */
function countBytes(): void {
  let count = 0;
  const counted = (length: number): Buffer => {
    count += 1;
    const bytes = Buffer.alloc(length);
    if (length >= 6) bytes.writeUIntBE(count, length - 6, 6);
    else bytes.fill(count % 256);
    return bytes;
  };
  Object.assign(crypto, { randomBytes: counted });
  syncBuiltinESMExports();
}
