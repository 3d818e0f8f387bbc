// What every stage works with: what it may ask, how it looks at an object, and where it says what it found.
import type { Stripe } from "../../stripe";
import type { AlertKind } from "../alerts";
import { findOwner, type OwnerReference } from "../customers";
import type { SyncRun } from "../sync";
import { type Difference, observe } from "./observe";
import { type Pace, passes, patiently } from "./pace";
import type { Finding, Log } from "./run";

// Alerts that say what no synchronization decides; the others only tell of what it did.
const FOR_A_PERSON: readonly AlertKind[] = [
  "second_subscription",
  "unknown_price",
  "unknown_status",
  "unknown_customer",
  "customer_mismatch",
  "unexpected_transition",
];

const isForPerson = ({ kind, key, isNew }: Difference): boolean =>
  kind === "alert" && isNew && FOR_A_PERSON.some((known) => key.startsWith(`${known} `));

/** The door for events that never came. */
export interface EventDoor {
  /** Stores an event and processes it, as if it had been delivered. */
  take(event: Stripe.Event, now: Date): Promise<void>;
}

/** A stage walks through a list and tells, after each page, from where it can be gone on with. */
export type Stage = (context: Context, from: string | null) => AsyncGenerator<string | null>;

export class Context {
  /** Subscriptions at Stripe, and paid invoices and checkouts, that this process has come across in this run. */
  readonly seen = new Set<string>();
  readonly paid = new Set<string>();

  constructor(
    readonly stripe: Stripe,
    readonly door: EventDoor,
    readonly log: Log,
    readonly pace: Pace,
    readonly now: Date,
    readonly isRepairing: boolean,
  ) {}

  get since(): Date {
    return this.log.since;
  }

  /** For Stripe's lists: created from the beginning of the window on, or so many days before it. */
  createdSince(daysBefore = 0): { created: { gte: number } } {
    return { created: { gte: Math.floor(this.since.getTime() / 1000) - daysBefore * 86_400 } };
  }

  /** Looks at one object, as an event of it would. What that changes is a finding. */
  async look(
    about: { organizationId: string; kind: string; subject: string },
    look: (run: SyncRun) => Promise<unknown>,
  ): Promise<void> {
    const { stripe, now, isRepairing } = this;
    const observation = { stripe, now, isRepairing, cause: "reconciler" };
    await this.guarded(about, async () => {
      const found = await patiently(this.pace, () => observe(about.organizationId, observation, look));
      const forPerson = found.filter(isForPerson);
      const others = found.filter((difference) => !isForPerson(difference));
      if (others.length > 0) {
        const message = [...new Set(others.map(({ words }) => words))].join("; ");
        await this.log.find({ ...about, message, repaired: isRepairing });
      }
      for (const { key, words } of forPerson) {
        const [kind = "", subject = ""] = key.split(" ");
        await this.log.find({ organizationId: about.organizationId, kind, subject, message: words, repaired: false });
      }
    });
  }

  /** One object's trouble is not the others': it is told, and the run goes on. What passes by itself is thrown. */
  async guarded(
    { organizationId, subject }: { organizationId: string | null; subject: string },
    work: () => Promise<void>,
  ): Promise<void> {
    this.log.counts.checked += 1;
    try {
      await work();
    } catch (error) {
      if (passes(error)) throw error;
      const words = error instanceof Error ? error.message : String(error);
      const message = `${subject} could not be compared with Stripe: ${words}`;
      await this.log.queue({ organizationId, kind: "not_compared", subject, message }, "reconciliation");
    }
  }

  count(objects: number): void {
    this.log.counts.checked += objects;
  }

  find(finding: Finding): Promise<void> {
    return this.log.find(finding);
  }

  queue(finding: Omit<Finding, "repaired">, kind: AlertKind): Promise<void> {
    return this.log.queue(finding, kind);
  }

  /** Whose an object is; of one that is nobody's, or named for two, a person is told. */
  async ownerOf(subject: string, reference: OwnerReference): Promise<string | null> {
    const owner = await this.ask(() => findOwner(reference));
    if (owner.kind === "organization") return owner.organizationId;
    const isMismatch = owner.kind === "mismatch";
    const message = isMismatch
      ? `${subject} names one organization in its metadata while its customer is another's.`
      : `${subject} belongs to a customer that no organization has.`;
    const kind = isMismatch ? "customer_mismatch" : "unknown_customer";
    // A stranger's objects are one matter; an event of one of them may have told of it.
    const who = isMismatch ? subject : (reference.customerId ?? subject);
    await this.log.queue({ organizationId: null, kind, subject: who, message }, kind, subject);
    return null;
  }

  ask<T>(call: () => Promise<T>): Promise<T> {
    return patiently(this.pace, call);
  }
}
