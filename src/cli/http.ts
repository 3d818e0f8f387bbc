// Asking a server that we have just started whether it is there.
import { setTimeout as sleep } from "node:timers/promises";
import { type Child, lastLines } from "./processes";
import { StepError } from "./progress";

const ANSWER_TIMEOUT_MS = 90_000;
const REQUEST_TIMEOUT_MS = 15_000;

/** Waits until the address answers with anything but a server error. Fails at once when the process has ended. */
export async function untilAnswers(url: string, child: Child, name: string, hint?: string): Promise<void> {
  let ended = false;
  child.exited.then(() => {
    ended = true;
  });
  const deadline = Date.now() + ANSWER_TIMEOUT_MS;
  while (Date.now() < deadline && !ended) {
    const status = await visit(url);
    if (status !== null && status < 500) return;
    await sleep(100);
  }
  const message = ended ? `${name} ended while it was starting.` : `${name} does not answer at ${url}.`;
  throw new StepError(message, { log: lastLines(child.logFile, 20), logFile: child.logFile, hint });
}

/** The status of an answer; null when there is none. */
export async function visit(url: string): Promise<number | null> {
  try {
    const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return null;
  }
}
