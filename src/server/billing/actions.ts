// How an action at Stripe is done: one at a time for an organization, answered in seconds whatever Stripe does, and each
// call under a key that a retry finds again and another action does not.
import { BillingError } from "~/domain/errors";
import { type Actor, actorName } from "../auth/actor";
import { asOrganization, type Prisma, type Transaction } from "../db";
import { fingerprint } from "../db/keys";
import { log } from "../log";
import { callStripe, expectObject, isReplayed, type Stripe, stripeForPages } from "../stripe";
import { recordAction } from "./alerts";
import { type SyncLock, withSyncLock } from "./sync-lock";

// A person waits, and a proxy may give up after five seconds.
const ANSWER_WITHIN_MS = 4_500;
const LOCK_WAIT_MS = 4_000;
// A key that was used for the same thing before, within the day that Stripe remembers it, is passed by.
const MOST_KEYS = 20;

/** Who acts on an organization's billing, and when. */
export interface Doer {
  organizationId: string;
  /** As the ledger names it: `user:…`, `key:…`. */
  actor: string;
  now: Date;
}

export function doerOf(ctx: { actor: Actor; now: Date }, organizationId: string): Doer {
  return { organizationId, actor: actorName(ctx.actor), now: ctx.now };
}

export interface ActingOrganization {
  id: string;
  slug: string;
  name: string;
  stripeCustomerId: string | null;
  trialUsedAt: Date | null;
}

/** A change at Stripe that an action brings about. `State` is the object that is changed, as Stripe has it. */
export interface Step<State> {
  /** What is done; with `about`, what makes this another request than the last one, it is the call's key. */
  name: string;
  about: (state: State) => unknown;
  isDone: (state: State) => boolean;
  send: (stripe: Stripe, options: Stripe.RequestOptions) => Promise<State>;
  read: () => Promise<State>;
}

/** An action while it is done, under the organization's lock. */
export class Action {
  readonly stripe = stripeForPages();

  constructor(
    readonly doer: Doer,
    readonly organization: ActingOrganization,
    readonly lock: SyncLock,
    private readonly time: AnswerTime,
    /** How many actions were finished before: a new one is never answered with an old one's answer. */
    private readonly finished: number,
  ) {}

  get organizationId(): string {
    return this.doer.organizationId;
  }

  get now(): Date {
    return this.doer.now;
  }

  /**
   * To be called before the first change. Not when it was already said that nothing was done; what follows the first change is
   * carried through all the same, so that nothing is left half done.
   * @throws BillingError STRIPE_UNAVAILABLE when it is too late
   */
  begin(): void {
    this.time.begin();
  }

  /**
   * Sends something that changes Stripe.
   * @throws BillingError STRIPE_UNAVAILABLE, STRIPE_REFUSED
   */
  async send<Answer>(
    name: string,
    about: unknown,
    call: (stripe: Stripe, options: Stripe.RequestOptions) => Promise<Answer>,
  ): Promise<Answer> {
    this.begin();
    const key = `billfold:${name}:${this.organizationId}:${this.finished}:${fingerprint(about).slice(0, 32)}`;
    return callStripe(() => call(this.stripe, { idempotencyKey: key }));
  }

  /** Reads one object that must be there. @throws BillingError STRIPE_UNAVAILABLE, STRIPE_REFUSED where it is not */
  read<T extends { object: string; id?: string | undefined }>(
    kind: T["object"],
    call: (stripe: Stripe) => Promise<T>,
  ): Promise<T> {
    return callStripe(async () => expectObject(kind, await call(this.stripe)));
  }

  /**
   * Makes a state of Stripe's be so, once, and says how it is then. What is so already is not asked for again. Stripe answers a
   * key that it knows with the answer, or the refusal, of then: how it is now is looked at, and what is not so is done anew.
   */
  async bringAbout<State extends object>(before: State, step: Step<State>): Promise<State> {
    let state = before;
    for (let turn = 0; turn < MOST_KEYS; turn += 1) {
      if (step.isDone(state)) return state;
      const about = { about: step.about(state), turn };
      const answer = await this.send(step.name, about, step.send).catch((error) => {
        if (!isReplayed(error)) throw error;
        return null;
      });
      if (answer !== null && !isReplayed(answer)) return answer;
      state = await step.read();
    }
    throw new BillingError("BUSY", "This was done and undone too often. Please try again tomorrow.", {
      retryable: true,
    });
  }

  /** Keeps who did what, for whoever asks later. Once it is kept, the same thing again is another action. */
  async record(what: {
    name: string;
    subject: string;
    message: string;
    details?: Prisma.InputJsonObject;
  }): Promise<void> {
    const { organizationId, actor, now } = this.doer;
    const details = { action: what.name, actor, ...what.details };
    await this.lock.save((tx) =>
      recordAction(
        tx,
        { organizationId, kind: "subscription_action", subject: what.subject, message: what.message, details },
        now,
      ),
    );
  }
}

/**
 * Does an action under the organization's sync lock.
 * @throws BillingError NOT_FOUND; STRIPE_UNAVAILABLE or BUSY, both retryable, within five seconds: what had begun by then
 *   goes on, and a retry finds it
 */
export function act<T>(doer: Doer, work: (action: Action) => Promise<T>): Promise<T> {
  const { organizationId } = doer;
  return answerInTime((time) =>
    withSyncLock(organizationId, { waitMs: LOCK_WAIT_MS }, async (lock) => {
      const { organization, finished } = await asOrganization(organizationId, async (tx) => ({
        organization: await findOrganization(tx, organizationId),
        finished: await tx.billingAlert.count({ where: { organizationId, kind: "subscription_action" } }),
      }));
      if (!organization) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
      return work(new Action(doer, organization, lock, time, finished));
    }),
  );
}

export function findOrganization(tx: Transaction, organizationId: string): Promise<ActingOrganization | null> {
  return tx.organization.findFirst({
    where: { id: organizationId, deletedAt: null },
    select: { id: true, slug: true, name: true, stripeCustomerId: true, trialUsedAt: true },
  });
}

/** The time within which an answer is given, whether or not what was asked for is done. */
export interface AnswerTime {
  /** Says that the first change is about to be made. @throws BillingError STRIPE_UNAVAILABLE when it is too late for it */
  begin(): void;
}

/**
 * Answers in time: what takes longer goes on, and the caller hears that Stripe does not answer.
 * @throws BillingError STRIPE_UNAVAILABLE
 */
export async function answerInTime<T>(work: (time: AnswerTime) => Promise<T>): Promise<T> {
  let isLate = false;
  let hasBegun = false;
  const working = work({
    begin() {
      if (isLate && !hasBegun) throw tooSlow(false);
      hasBegun = true;
    },
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      isLate = true;
      reject(tooSlow(hasBegun));
    }, ANSWER_WITHIN_MS);
  });
  try {
    return await Promise.race([working, late]);
  } catch (error) {
    // Its words are of a call that changed nothing; one before it may have.
    if (hasBegun && !isLate && error instanceof BillingError && error.code === "STRIPE_UNAVAILABLE")
      throw tooSlow(true);
    throw error;
  } finally {
    clearTimeout(timer);
    // Nobody hears of it any more.
    if (isLate) working.catch((error) => log.warn("an action that took too long was not finished", { error }));
  }
}

function tooSlow(hasBegun: boolean): BillingError {
  const rest = hasBegun
    ? "What you asked for may still be done: look again in a moment."
    : "Nothing was changed; please try again shortly.";
  return new BillingError("STRIPE_UNAVAILABLE", `The payment service takes too long to answer. ${rest}`, {
    retryable: true,
    /** Whether what was asked for may be done after all. */
    begun: hasBegun,
  });
}
