// The post between Stripe and the app: each event arrives once, several times, later than others, long after, or never.
import type { Stripe } from "~/server/stripe";
import type { Chance } from "./chance";

export interface PostFaults {
  /** Shares of all events. */
  lost: number;
  copied: number;
  late: number;
}

export type PostCounts = {
  told: number;
  lost: number;
  copies: number;
  late: number;
};

const LONGEST_DELAY_STEPS = 8;

export class Post {
  readonly counts: PostCounts = { told: 0, lost: 0, copies: 0, late: 0 };
  private readonly bag: { event: Stripe.Event; step: number; turn: number }[] = [];
  private lost: Stripe.Event[] = [];
  private turn = 0;

  constructor(
    private readonly chance: Chance,
    public faults: PostFaults,
  ) {}

  /** Takes what has just happened at Stripe. @param isDown nobody is there to take any of it */
  post(events: readonly Stripe.Event[], step: number, isDown = false): void {
    for (const event of events) {
      this.counts.told += 1;
      if (this.chance.happens(isDown ? 1 : this.faults.lost)) {
        this.counts.lost += 1;
        this.lost.push(event);
        continue;
      }
      this.put(event, step);
      if (!this.chance.happens(this.faults.copied)) continue;
      const copies = this.chance.int(1, 3);
      this.counts.copies += copies;
      for (let copy = 0; copy < copies; copy += 1) this.put(event, step + this.chance.int(0, 3));
    }
  }

  /** Takes what has just happened at Stripe, all of which arrives. */
  collect(events: readonly Stripe.Event[]): readonly Stripe.Event[] {
    this.counts.told += events.length;
    return events;
  }

  /** What arrives now, in an order of its own. */
  arrivals(step: number): Stripe.Event[] {
    const due = this.bag.filter((letter) => letter.step <= step);
    for (const letter of due) this.bag.splice(this.bag.indexOf(letter), 1);
    return due.sort((a, b) => a.turn - b.turn).map((letter) => letter.event);
  }

  /** Everything that is still on its way. */
  empty(): Stripe.Event[] {
    return this.arrivals(Number.MAX_SAFE_INTEGER);
  }

  /** What was lost until now, delivered after all: as Stripe does once an endpoint is back. */
  found(): Stripe.Event[] {
    const found = this.lost;
    this.lost = [];
    return found;
  }

  private put(event: Stripe.Event, step: number): void {
    const late = this.chance.happens(this.faults.late);
    if (late) this.counts.late += 1;
    this.turn += 1;
    // What happens together arrives in any order.
    const turn = this.turn + this.chance.int(-6, 6);
    this.bag.push({ event, step: late ? step + this.chance.int(1, LONGEST_DELAY_STEPS) : step, turn });
  }
}
