// One organization's life: what its people, its services, its bank and the people at Stripe's dashboard do. Each day chance
// decides; all of it goes through what the app offers, or through Stripe's own API.
import Stripe from "stripe";
import { createCaller } from "~/server/api/root";
import { Chance } from "./chance";
import type { Counts } from "./report";
import { PLATFORM_ACTOR, type Stage, seconds } from "./stage";

const DAY_MS = 86_400_000;
const CARD = "4242424242424242";
const BREAKING_CARDS = ["pm_card_chargeCustomerFail", "pm_card_chargeDeclined"] as const;

/** What somebody lives like: how often each thing is done on a day. */
export interface Habits {
  subscribe: number;
  yearly: number;
  change: number;
  cancel: number;
  pause: number;
  pack: number;
  breakCard: number;
  mendCard: number;
  refund: number;
  dispute: number;
  dashboard: number;
  spend: number;
  leave: number;
  /** Money that the platform's people put into the customer's balance, which pays a part of the next invoices. */
  balance: number;
}

const ORDINARY: Habits = {
  subscribe: 0.06,
  yearly: 0.2,
  change: 0.012,
  cancel: 0.006,
  pause: 0.002,
  pack: 0.01,
  breakCard: 0.003,
  mendCard: 0.1,
  refund: 0.002,
  dispute: 0.001,
  dashboard: 0.003,
  spend: 0.1,
  leave: 0.0006,
  balance: 0,
};

const OPENING = 8;
/** Who is new tries things out; after that, people have found what they want, and do the rest more rarely. */
const SETTLED_DAYS = 30;
const SETTLED = 0.2;

/** Kinds of customers, in turn over the organizations. */
const KINDS: [string, Partial<Habits>][] = [
  ["steady", {}],
  ["restless", { change: 0.15, cancel: 0.03 }],
  ["yearly", { yearly: 0.9, change: 0.05 }],
  ["broke", { subscribe: 0.2, breakCard: 0.08, mendCard: 0.2 }],
  ["packs only", { subscribe: 0, dashboard: 0, pack: 0.12, refund: 0.02 }],
  ["refunded", { refund: 0.05, dispute: 0.06, pack: 0.1, subscribe: 0.1, balance: 0.06 }],
  ["pausing", { subscribe: 0.2, pause: 0.04, cancel: 0.012 }],
  ["handled by hand", { subscribe: 0, pack: 0, dashboard: 0.15 }],
  ["leaving", { subscribe: 0.2, leave: 0.02 }],
  ["trying out", { subscribe: 0.3, cancel: 0.08 }],
];

/** What is done by hand at Stripe. */
const DEEDS = [
  "plan",
  "plan",
  "quantity",
  "back and forth",
  "back and forth",
  "cancel",
  "cancel on a day",
  "cancel on a day",
  "cancel and prorate",
  "extend trial",
  "second",
] as const;

export class Organization {
  readonly kind: string;
  /** What was done, and how it ended, by name. */
  readonly deeds: Counts = {};
  /** Credits taken by takes that were answered with success, each key once. */
  consumed = 0;
  gone = false;
  /** Credits that the pack of each checkout was offered with. */
  readonly offered = new Map<string, number>();
  private readonly habits: Habits;
  private readonly chance: Chance;
  private readonly books: Chance;
  private turn = 0;
  private disputes: string[] = [];
  /** The customer that was entered at Stripe's dashboard. */
  private byHand: string | null = null;

  constructor(
    readonly number: number,
    readonly id: string,
    private readonly stage: Stage,
    private readonly slug: string,
    seed: string,
  ) {
    const [kind, habits] = KINDS[number % KINDS.length] ?? ["steady", {}];
    this.kind = kind;
    this.habits = { ...ORDINARY, ...habits };
    this.chance = new Chance(`${seed} organization ${number}`);
    this.books = new Chance(`${seed} books ${number}`);
  }

  /** One day of its life. @param day from 1 */
  async live(now: Date, day: number): Promise<void> {
    if (this.gone) return;
    const { chance } = this;
    const { balance, ...daily } = this.habits;
    const { subscribe, dashboard } = daily;
    // Many begin at once, on the last day of a long month.
    const opening = day === 1 ? { subscribe: subscribe * OPENING, dashboard: dashboard * OPENING } : {};
    const habits = { ...daily, ...opening };
    // What is broken is mended as soon as ever.
    const shareOf = (habit: string) => (day > SETTLED_DAYS && habit !== "mendCard" ? SETTLED : 1);
    // Drawn before anything is asked, so that a day's chances do not depend on what the others of the day came to.
    const drawn = Object.fromEntries(
      Object.entries(habits).map(([habit, often]) => [habit, chance.happens(often * shareOf(habit))]),
    ) as Record<keyof typeof daily, boolean>;
    if (this.disputes.length > 0) await this.decideDisputes();
    const depends = drawn.subscribe || drawn.change || drawn.cancel || drawn.pause || drawn.mendCard;
    const subscription = depends ? await this.caller(now).subscription.get(this.of({})) : null;
    const live = subscription && ["trial", "active", "past_due", "paused"].includes(subscription.status);
    if (!live && drawn.subscribe) await this.subscribe(now, drawn.yearly);
    if (live && drawn.change) await this.change(now, drawn.yearly);
    if (live && drawn.cancel) await this.cancelOrUndo(now, subscription.cancelsAt !== null);
    if (live && drawn.pause) await this.pauseOrResume(now, subscription.status === "paused");
    if (drawn.pack) await this.buyPack(now);
    if (drawn.breakCard) await this.replaceCard(chance.pick(BREAKING_CARDS));
    else if (live && subscription.status === "past_due" && drawn.mendCard) await this.mend(now);
    if (drawn.refund) await this.refund();
    if (drawn.dispute) await this.dispute();
    if (drawn.dashboard) await this.atTheDashboard(now);
    if (drawn.spend) await this.spend(now);
    if (drawn.leave) await this.leave(now);
    // With chance of its own: what is drawn of the others does not depend on it.
    if (this.books.happens(balance * shareOf("balance"))) await this.giveBalance();
  }

  // ── People ─────────────────────────────────────────────────────────────────────────────────────────────────

  private async subscribe(now: Date, yearly: boolean): Promise<void> {
    const plans = await this.caller(now).plans.list({ currency: "usd" });
    const plan = this.chance.pick(plans);
    const interval = yearly ? "year" : "month";
    const open = () => this.caller(now).subscription.checkout(this.of({ planId: plan.id, interval }));
    const opened = await this.ask("checkout", open);
    // A second click, a moment later.
    const again = this.chance.happens(0.2) ? await this.ask("checkout again", open) : null;
    const abandoned = this.chance.happens(0.15);
    const card = this.chance.happens(0.1) ? "4000000000000002" : CARD;
    const back = this.chance.happens(0.7);
    if (!opened || abandoned) return this.note("checkout abandoned");
    await this.pay((again ?? opened).url, { card });
    if (back) await this.comeBack((again ?? opened).url, now);
  }

  private async buyPack(now: Date): Promise<void> {
    const packs = await this.caller(now).creditProducts.list({ currency: "usd" });
    const pack = this.chance.pick(packs);
    const opened = await this.ask("buy pack", () =>
      this.caller(now).creditProducts.checkout(this.of({ productId: pack.id })),
    );
    const abandoned = this.chance.happens(0.2);
    const delayed = this.chance.happens(0.4);
    const card = this.chance.happens(0.1) ? "4000000000005126" : CARD;
    const back = this.chance.happens(0.6);
    // One that is open still is handed out again only where it holds the same.
    if (opened) this.offered.set(sessionOf(opened.url), pack.credits);
    if (!opened || abandoned) return this.note("pack abandoned");
    await this.pay(opened.url, delayed ? { method: "us_bank_account" } : { card });
    if (back) await this.comeBack(opened.url, now);
  }

  private async pay(url: string, body: Record<string, unknown>): Promise<void> {
    const session = sessionOf(url);
    const name = body.method ? "pay by debit" : "pay by card";
    const answer = await this.atStripe(name, () => this.stage.control(`checkout/${session}/complete`, body));
    if (answer?.status === "declined") this.note("declined at checkout");
  }

  private async comeBack(url: string, now: Date): Promise<void> {
    const sessionId = sessionOf(url);
    const look = () => this.caller(now).billing.completeCheckout(this.of({ sessionId }));
    await this.ask("come back", look);
  }

  private async change(now: Date, yearly: boolean): Promise<void> {
    const plans = await this.caller(now).plans.list({ currency: "usd" });
    const choice = { planId: this.chance.pick(plans).id, interval: yearly ? ("year" as const) : ("month" as const) };
    const sure = this.chance.happens(0.85);
    const twice = this.chance.happens(0.2);
    const preview = await this.ask("preview", () => this.caller(now).subscription.previewChange(this.of(choice)));
    if (!preview || !sure) return;
    const change = () => this.caller(now).subscription.change(this.of({ ...choice, token: preview.token }));
    const done = await this.ask("change", change);
    if (done) this.note(`change ${done.status}`);
    if (twice) await this.ask("change again", change);
  }

  private async cancelOrUndo(now: Date, ends: boolean): Promise<void> {
    const atOnce = this.chance.happens(0.2);
    if (ends) return this.tell("undo cancel", () => this.caller(now).subscription.undoCancel(this.of({})));
    const at = atOnce ? "now" : "period_end";
    await this.tell(`cancel ${at}`, () => this.caller(now).subscription.cancel(this.of({ at })));
  }

  private async pauseOrResume(now: Date, paused: boolean): Promise<void> {
    if (paused) return this.tell("resume", () => this.caller(now).subscription.resume(this.of({})));
    await this.tell("pause", () => this.caller(now).subscription.pause(this.of({})));
  }

  private async mend(now: Date): Promise<void> {
    await this.replaceCard("pm_card_visa");
    const invoice = await this.oldestOpenInvoice();
    if (invoice)
      await this.tell("pay invoice", () => this.caller(now).billing.payInvoice(this.of({ invoiceId: invoice })));
  }

  // ── Services ───────────────────────────────────────────────────────────────────────────────────────────────

  private async spend(now: Date): Promise<void> {
    const share = this.chance.pick([0.02, 0.05, 0.1, 0.3, 1]);
    const twice = this.chance.happens(0.3);
    const balance = await this.caller(now).credits.balance(this.of({}));
    const quantity = Math.max(1, Math.floor(balance.available * share));
    this.turn += 1;
    const take = this.of({ eventName: "api_call_basic", quantity, idempotencyKey: `take-${this.turn}` });
    const taken = await this.ask("consume", () => this.caller(now).credits.consume(take));
    if (taken) this.consumed += taken.consumed;
    if (!twice) return;
    const again = await this.ask("consume again", () => this.caller(now).credits.consume(take));
    if (taken && again && !again.replayed) this.note("BROKEN: the same key was taken twice");
  }

  // ── The bank, and the dashboard ────────────────────────────────────────────────────────────────────────────

  private async replaceCard(method: string): Promise<void> {
    const customer = await this.customer();
    if (!customer) return;
    await this.atStripe(`card ${method.slice(8)}`, async () => {
      const attached = await this.stage.stripe.paymentMethods.attach(method, { customer });
      const default_payment_method = attached.id;
      await this.stage.stripe.customers.update(customer, { invoice_settings: { default_payment_method } });
      for (const each of (await this.stage.stripe.subscriptions.list({ customer })).data) {
        await this.stage.stripe.subscriptions.update(each.id, { default_payment_method });
      }
    });
  }

  private async charges(): Promise<Stripe.Charge[]> {
    const customer = await this.customer();
    if (!customer) return [];
    const { data } = await this.stage.stripe.charges.list({ customer, limit: 100 });
    return data.filter((charge) => charge.status === "succeeded");
  }

  private async refund(): Promise<void> {
    const [place, part, fails] = [this.chance.next(), this.chance.pick([0.25, 0.5, 1]), this.chance.happens(0.2)];
    const open = (await this.charges()).filter((charge) => charge.amount_refunded < charge.amount_captured);
    const charge = open[Math.floor(place * open.length)];
    if (!charge) return;
    const amount = Math.max(1, Math.floor((charge.amount_captured - charge.amount_refunded) * part));
    const refund = await this.atStripe("refund", () => this.stage.stripe.refunds.create({ charge: charge.id, amount }));
    if (refund && fails) await this.atStripe("refund fails", () => this.stage.control(`refunds/${refund.id}/fail`, {}));
  }

  private async dispute(): Promise<void> {
    const place = this.chance.next();
    const open = (await this.charges()).filter((charge) => !charge.disputed && !charge.refunded);
    const charge = open[Math.floor(place * open.length)];
    if (!charge) return;
    const dispute = await this.atStripe("dispute", () => this.stage.control("disputes", { charge: charge.id }));
    if (typeof dispute?.id === "string") this.disputes.push(dispute.id);
  }

  private async giveBalance(): Promise<void> {
    const amount = -100 * this.books.int(5, 60);
    const customer = await this.customer();
    if (!customer) return;
    await this.atStripe("balance given", () =>
      this.stage.stripe.customers.createBalanceTransaction(customer, { amount, currency: "usd" }),
    );
  }

  private async decideDisputes(): Promise<void> {
    if (!this.chance.happens(0.3)) return;
    const id = this.disputes.shift();
    const how = this.chance.pick(["win", "lose"]);
    await this.atStripe(`dispute ${how}`, () => this.stage.control(`disputes/${id}/${how}`, {}));
  }

  private async atTheDashboard(now: Date): Promise<void> {
    const deed = this.chance.pick(DEEDS);
    const place = this.chance.next();
    const proration = this.chance.pick(["always_invoice", "create_prorations", "none"] as const);
    const { stripe, addOn } = this.stage;
    const customer = (await this.customer()) ?? this.byHand ?? (await this.enterByHand());
    if (!customer) return;
    const listed = (await stripe.prices.list({ type: "recurring", active: true, currency: "usd", limit: 100 })).data;
    const prices = listed.filter(({ id }) => id !== addOn);
    const price = prices[Math.floor(place * prices.length)];
    const subscription = (await stripe.subscriptions.list({ customer })).data[0];
    const item = subscription?.items.data.find((each) => each.price.id !== addOn);
    if (!price) return;
    if (!subscription || !item) {
      const isMonthly = price.recurring?.interval === "month";
      const items = isMonthly ? [{ price: addOn }, { price: price.id }] : [{ price: price.id }];
      await this.atStripe(`dashboard subscription${isMonthly ? " with an add-on" : ""}`, () =>
        stripe.subscriptions.create({ customer, metadata: { organizationId: this.id }, items }),
      );
      return;
    }
    const { id } = subscription;
    const change = (name: string, changed: Stripe.SubscriptionUpdateParams) =>
      this.atStripe(`dashboard ${name}`, () => stripe.subscriptions.update(id, changed));
    if (deed === "plan" && price.id !== item.price.id) {
      const items = [{ id: item.id, price: price.id }];
      await change(`plan, ${proration}`, { items, proration_behavior: proration });
    } else if (deed === "quantity") {
      const items = [{ id: item.id, quantity: (item.quantity ?? 1) === 1 ? 2 : 1 }];
      await change("quantity", { items, proration_behavior: proration });
    } else if (deed === "back and forth") {
      // What waits for the next invoice is more than what comes with one.
      for (let turn = 0; turn < 6; turn += 1) {
        const items = [{ id: item.id, quantity: ((item.quantity ?? 1) + turn) % 2 === 1 ? 2 : 1 }];
        await change("quantity, back and forth", { items, proration_behavior: "create_prorations" });
      }
    } else if (deed === "cancel") {
      await this.atStripe("dashboard cancel", () => stripe.subscriptions.cancel(id));
    } else if (deed === "cancel on a day") {
      await change("cancel on a day", { cancel_at: seconds(now) + 20 * 86_400, proration_behavior: "none" });
    } else if (deed === "cancel and prorate") {
      await this.atStripe("dashboard cancel and prorate", () =>
        stripe.subscriptions.cancel(id, { prorate: true, invoice_now: true }),
      );
    } else if (deed === "extend trial" && subscription.status === "trialing") {
      await change("trial", { trial_end: (subscription.trial_end ?? seconds(now)) + 3 * 86_400 });
    } else if (deed === "second") {
      await this.atStripe("dashboard second subscription", () =>
        stripe.subscriptions.create({ customer, items: [{ price: price.id }] }),
      );
    }
  }

  /** Somebody who never comes to the checkout is entered by a salesperson, once, whatever has been heard of it here. */
  private async enterByHand(): Promise<string | null> {
    if (this.habits.subscribe > 0) return null;
    const customer = await this.atStripe("dashboard customer", () =>
      this.stage.stripe.customers.create({
        ...{ name: `Organization ${this.number}`, metadata: { organizationId: this.id } },
        ...{ payment_method: "pm_card_visa", invoice_settings: { default_payment_method: "pm_card_visa" } },
      }),
    );
    this.byHand = customer?.id ?? null;
    return this.byHand;
  }

  /** The end of it: it is deleted, here or at Stripe. */
  private async leave(now: Date): Promise<void> {
    const here = this.chance.happens(0.5);
    if (here) {
      await this.tell("organization removed", () =>
        this.caller(now).organizations.remove(this.of({ slug: this.slug })),
      );
      this.gone = true;
      return;
    }
    const customer = await this.customer();
    if (customer === this.byHand) this.byHand = null;
    if (customer) await this.atStripe("customer deleted", () => this.stage.stripe.customers.del(customer));
  }

  // ── How it asks ────────────────────────────────────────────────────────────────────────────────────────────

  private async customer(): Promise<string | null> {
    const [row] = await this.stage.sql<{ id: string | null }>(
      "SELECT stripe_customer_id AS id FROM organizations WHERE id = $1",
      [this.id],
    );
    return row?.id ?? null;
  }

  private async oldestOpenInvoice(): Promise<string | null> {
    const customer = await this.customer();
    if (!customer) return null;
    const { data } = await this.stage.stripe.invoices.list({ customer, status: "open", limit: 100 });
    return data.at(-1)?.id ?? null;
  }

  private caller(now: Date) {
    return createCaller({ actor: PLATFORM_ACTOR, now });
  }

  private of<T extends object>(input: T): T & { organizationId: string } {
    return { ...input, organizationId: this.id };
  }

  private note(deed: string): void {
    this.deeds[deed] = (this.deeds[deed] ?? 0) + 1;
  }

  private async tell(deed: string, work: () => Promise<unknown>): Promise<void> {
    await this.ask(deed, work);
  }

  /** Asks the app. What it refuses with a code is an answer; anything else is a defect. */
  private async ask<T>(deed: string, work: () => Promise<T>): Promise<T | null> {
    try {
      const answer = await work();
      this.note(deed);
      return answer;
    } catch (error) {
      const { cause } = error as { cause?: { code?: string } };
      const code = cause?.code;
      if (!code || code === "INTERNAL") throw error;
      this.note(`${deed}: ${code}`);
      return null;
    }
  }

  /** Does something at Stripe. What Stripe refuses is not done. */
  private async atStripe<T>(deed: string, work: () => Promise<T>): Promise<T | null> {
    try {
      const answer = await work();
      this.note(deed);
      return answer;
    } catch (error) {
      if (!(error instanceof Stripe.errors.StripeError) && !/the sandbox refused/.test(String(error))) throw error;
      this.note(`${deed}: refused by Stripe`);
      return null;
    }
  }
}

export const daysLater = (days: number, from: Date): Date => new Date(from.getTime() + days * DAY_MS);

function sessionOf(url: string): string {
  const id = /cs_[A-Za-z0-9_]+/.exec(url)?.[0];
  if (!id) throw new Error(`no checkout session in ${url}`);
  return id;
}
