// The clocks by hand: the sandbox's own, and those of customers who have one.
import { moveClock } from "../control";
import { addIntervals } from "../engine/period";
import { invalidRequest } from "../errors";
import type { World } from "../world";
import { act } from "./act";
import { type Html, html } from "./html";
import { formatTime } from "./layout";
import { button } from "./parts";

const HOUR = 3600;

const STEPS: Record<string, (world: World, now: number, clock: string | null) => number> = {
  hour: (_, now) => now + HOUR,
  day: (_, now) => now + 24 * HOUR,
  month: (_, now) => addIntervals(now, "month", 1),
  // A renewal's invoice is a draft at first: going on to its collection is what people mean.
  renewal: (world, _, clock) => {
    const next = world.scheduler.nextOf("subscription.advance", clock);
    if (next === null) throw invalidRequest("No subscription renews on this clock.");
    return next + world.options.draftSeconds;
  },
};

const WORDS: Record<string, string> = {
  hour: "An hour on",
  day: "A day on",
  month: "A month on",
  renewal: "To the next renewal",
};

function stepTo(world: World, step: string, now: number, clock: string | null): number {
  const target = STEPS[step]?.(world, now, clock);
  if (target === undefined) throw invalidRequest(`No such step: ${step}`);
  return target;
}

/** Moves the sandbox's clock by a step, or back to real time. */
export function moveOwnClock(world: World, step: string): void {
  const { clock } = world;
  moveClock(world, step === "real" ? null : stepTo(world, step, clock.global(), null));
}

/** Moves a customer's clock by a step. */
export function moveTestClock(world: World, id: string, step: string): void {
  const clock = world.testClocks.get(id);
  if (!clock) throw invalidRequest("There is no such clock.");
  const to = stepTo(world, step, clock.frozen_time, id);
  act(world, "POST", `/v1/test_helpers/test_clocks/${id}/advance`, { frozen_time: String(to) });
}

/** What a clock shows, and the buttons that move it. */
export function clockPanel(world: World, path: string, testClock: string | null = null): Html {
  const frozen = testClock ? world.testClocks.get(testClock)?.frozen_time : world.clock.frozenAt();
  const shows = frozen ?? world.clock.global();
  const next = world.scheduler.nextOf("subscription.advance", testClock);
  const steps = Object.keys(STEPS).filter((step) => step !== "renewal" || next !== null);
  const name = testClock ? "Its own clock" : "The clock";
  return html`<section class="panel" aria-label="${name}"><h2>${name}</h2>
<p class="big">${formatTime(shows)}</p>
<p class="small quiet">${frozen !== null && frozen !== undefined ? "Stands still until it is moved." : "Real time."} ${next !== null && html`The next renewal is due at ${formatTime(next)}.`}</p>
<div class="row">${steps.map((step) => button(path, WORDS[step] ?? step, name, { step }))}
${!testClock && frozen !== null && button(path, "Real time", name, { step: "real" })}</div></section>`;
}
