// Random lives of three organizations, taken by two processes in turn: after each step all laws hold, and what was answered is
// what the plain model says. `npm run sim:ledger -- --steps 10000 --seed 7` runs long ones; a failure says how to replay it.
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Credits, type GrantSource, toCredits } from "~/domain/credits";
import { createBudget, updateBudget } from "~/server/billing/budgets";
import { consumeCredits, expireLots, getBalance, grantCredits, grantOnce } from "~/server/billing/credits";
import { cancelGift, claimGift, createGift } from "~/server/billing/gifts";
import { listGrants } from "~/server/billing/grants";
import { captureHold, extendHold, holdCredits, releaseHold } from "~/server/billing/holds";
import { findingLine, verifyLedger } from "~/server/billing/ledger/verify";
import { setBurnOrder } from "~/server/billing/organizations";
import { claimPaidLots } from "~/server/billing/payments";
import { reverseConsumption } from "~/server/billing/reversals";
import { transferCredits } from "~/server/billing/transfers";
import { asPlatform } from "~/server/db";
import { database } from "~/server/db/pool";
import { callAs, openLedger, PLATFORM } from "../setup/billing";
import { openQueue, type Queue } from "../setup/queues";
import { createTenant, NOW } from "../setup/tenancy";
import { brokenLaws } from "./ledger-laws";
import { ModelAccount, type ModelHold, type ModelTake, type Outcome, type Part, type Refusal } from "./ledger-model";

const STEPS = Number(process.env.BILLFOLD_SIM_STEPS ?? 400);
const SEED = Number(process.env.BILLFOLD_SIM_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Long enough for everything to meet everything, short enough for all laws to be asked after each step. */
const LIVES = Math.ceil(STEPS / 500);
const LIFE = Math.ceil(STEPS / LIVES);
const MINUTE_MS = 60_000;

const PROJECTS = [null, null, "search", "ingest"];
const POLICIES = ["clamp", "debt", "suspend"];

let app: Awaited<ReturnType<typeof openLedger>>;
let queues: Queue[];
beforeAll(async () => {
  app = await openLedger();
  queues = [openQueue(app.database.url, 3), openQueue(app.database.url, 3)];
});
afterAll(async () => {
  await Promise.all((queues ?? []).map((queue) => queue.close()));
  await app?.close();
});

const KINDS = {
  consume: 20,
  consumeAtOnce: 4,
  consumeMany: 3,
  race: 3,
  replay: 6,
  grant: 9,
  purchase: 5,
  hold: 9,
  capture: 12,
  extend: 2,
  release: 5,
  reverse: 7,
  expire: 4,
  wait: 7,
  burnOrder: 2,
  transfer: 6,
  gift: 4,
  claimGift: 3,
  cancelGift: 1,
  payment: 6,
  budget: 2,
  allow: 1,
} as const;
type Kind = keyof typeof KINDS;

const step = fc.record({
  kind: fc.oneof(...Object.entries(KINDS).map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind as Kind) }))),
  /** Which organization, which other, which process. */
  who: fc.nat({ max: 2 }),
  other: fc.integer({ min: 1, max: 2 }),
  queue: fc.nat({ max: 1 }),
  amount: fc.integer({ min: 1, max: 40 }),
  amounts: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 6 }),
  minutes: fc.integer({ min: 1, max: 120 }),
  lives: fc.option(fc.integer({ min: 1, max: 400 }), { freq: 3 }),
  choice: fc.nat({ max: 1000 }),
});
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

interface Gift {
  id: string;
  token: string;
  giver: ModelAccount;
  hold: ModelHold;
}

interface Paid {
  id: string;
  amount: number;
  truth: { refunded: number; disputed: number; lost: number };
}

interface Answered {
  again(queue: Queue): Promise<unknown>;
  conflict: ((queue: Queue) => Promise<unknown>) | null;
  answer: object;
}

class Life {
  now = NOW.getTime();
  readonly accounts: ModelAccount[] = [];
  readonly answered: Answered[] = [];
  readonly gifts: Gift[] = [];
  readonly paid: Paid[] = [];
  done = { steps: 0, foretold: 0, refused: 0 };
  private keys = 0;

  static async begin(): Promise<Life> {
    const life = new Life();
    for (const policy of POLICIES) {
      const { id } = await createTenant(`Org ${policy}`);
      await app.sql("UPDATE organizations SET spent_policy = $2::spent_policy WHERE id = $1", [id, policy]);
      life.accounts.push(new ModelAccount(id, policy));
    }
    return life;
  }

  get at(): Date {
    return new Date(this.now);
  }

  private key(): string {
    return `key ${++this.keys}`;
  }

  /** What was done is what was foretold: the answer, or the refusal. */
  private async expectOutcome<T, A extends object>(
    foretold: Outcome<T>,
    call: () => Promise<A>,
    check: (value: T, answer: A) => void,
  ): Promise<A | null> {
    this.done.foretold += 1;
    if ("refused" in foretold) {
      this.done.refused += 1;
      await this.expectRefusal(foretold.refused, call);
      return null;
    }
    const answer = await call();
    check(foretold.ok, answer);
    return answer;
  }

  private async expectRefusal({ code, details }: Refusal, call: () => Promise<unknown>): Promise<void> {
    const failure = await call().then(
      (answer) => ({ code: "answered", answer }),
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code, ...(details ? { details } : {}) });
  }

  async take(each: Step): Promise<void> {
    this.done.steps += 1;
    const account = this.accounts[each.who] as ModelAccount;
    const other = this.accounts[(each.who + each.other) % 3] as ModelAccount;
    const queue = queues[each.queue] as Queue;
    for (const one of this.accounts) await this.endLeases(one);
    await this[each.kind](each, account, queue, other);
    for (const one of new Set([account, other])) if (one.hasClaims) await this.readAnew(one);
    await this.expectLaws();
    if (this.done.steps % 100 === 0) await this.expectVerified();
  }

  /** Everything from zero, with the chain of hashes. */
  async expectVerified(): Promise<void> {
    for (const { id: organizationId } of this.accounts) {
      const { findings } = await verifyLedger(database(), { organizationId });
      expect(findings.map(findingLine)).toEqual([]);
    }
  }

  /** Leases end by themselves; where claims wait for what comes free, by a job that looks, so that the model can look too. */
  private async endLeases(account: ModelAccount): Promise<void> {
    if (account.endLeases(this.now) === 0 || !account.hasClaims) return;
    await expireLots(account.id, this.at);
    await this.readAnew(account);
  }

  // ── Steps ────────────────────────────────────────────────────────────────────────────────────────────────────

  private consumption(account: ModelAccount, quantity: number, project: string | null, idempotencyKey = this.key()) {
    return (queue: Queue) =>
      queue.run(() =>
        consumeCredits({
          organizationId: account.id,
          eventName: "api_call_basic",
          quantity,
          project,
          idempotencyKey,
          actor: "sim",
          now: this.at,
        }),
      );
  }

  private noteTake(account: ModelAccount, { parts, take }: { parts: Part[]; take: ModelTake }, answer: object): void {
    const { transactionId, allocations, available } = answer as {
      transactionId: string;
      allocations: Part[];
      available: number;
    };
    take.transactionId = transactionId;
    expect(partsOf(allocations)).toEqual(parts);
    expect(available).toBe(account.available(this.now));
  }

  async consume({ amount, choice }: Step, account: ModelAccount, queue: Queue): Promise<void> {
    const project = PROJECTS[choice % PROJECTS.length] ?? null;
    const idempotencyKey = this.key();
    const call = this.consumption(account, amount, project, idempotencyKey);
    const answer = await this.expectOutcome(
      account.consume(amount, project, this.now),
      () => call(queue),
      (value, given) => this.noteTake(account, value, given),
    );
    const conflict = this.consumption(account, amount + 1, project, idempotencyKey);
    if (answer) this.answered.push({ again: call, conflict, answer });
  }

  async consumeAtOnce({ amounts, choice }: Step, account: ModelAccount, queue: Queue): Promise<void> {
    const project = PROJECTS[choice % PROJECTS.length] ?? null;
    const calls = amounts.map((amount) => this.consumption(account, amount, project)(queue));
    const results = await Promise.allSettled(calls);
    // One process takes them in the order in which they came.
    for (const [index, amount] of amounts.entries()) {
      const result = results[index] as PromiseSettledResult<object>;
      await this.expectOutcome(
        account.consume(amount, project, this.now),
        async () => {
          if (result.status === "rejected") throw result.reason;
          return result.value;
        },
        (value, answer) => this.noteTake(account, value, answer),
      );
    }
  }

  async consumeMany({ amounts }: Step, account: ModelAccount, _: Queue, other: ModelAccount): Promise<void> {
    const items = amounts.map((quantity, index) => ({
      organizationId: (index % 2 === 0 ? account : other).id,
      eventName: "api_call_basic",
      quantity,
      idempotencyKey: this.key(),
    }));
    const results = await callAs(PLATFORM, this.at).credits.consumeMany({ items });
    for (const [index, quantity] of amounts.entries()) {
      const result = results[index];
      const of = index % 2 === 0 ? account : other;
      await this.expectOutcome(
        of.consume(quantity, null, this.now),
        async () => {
          if (!result?.ok) throw result?.error;
          return result;
        },
        (value, answer) => this.noteTake(of, value, answer),
      );
    }
  }

  /** Two processes at once, in whatever order: what was taken was there, and nobody was refused who could have been served. */
  async race({ amounts }: Step, account: ModelAccount): Promise<void> {
    if (account.suspended) return;
    const before = account.available(this.now);
    const results = await Promise.allSettled(
      amounts.map((amount, index) => this.consumption(account, amount, null)(queues[index % 2] as Queue)),
    );
    let sum = 0;
    for (const [index, result] of results.entries()) {
      if (result.status === "fulfilled") sum += amounts[index] ?? 0;
      else expect(result.reason).toMatchObject({ code: "INSUFFICIENT_CREDITS" });
    }
    expect(sum).toBeLessThanOrEqual(before);
    for (const [index, result] of results.entries()) {
      if (result.status === "rejected") expect(amounts[index]).toBeGreaterThan(before - sum);
    }
    if (sum > 0) expect(account.consume(sum, null, this.now)).toHaveProperty("ok");
    // It was several, and none of them is given back.
    if (sum > 0) account.takes.pop();
  }

  async replay({ choice }: Step, _: ModelAccount, queue: Queue): Promise<void> {
    const one = this.answered[choice % Math.max(1, this.answered.length)];
    if (!one) return;
    expect(await one.again(queue)).toEqual({ ...one.answer, replayed: true });
    if (one.conflict)
      await this.expectRefusal({ code: "IDEMPOTENCY_CONFLICT" }, () => one.conflict?.(queue) ?? Promise.resolve());
  }

  private addLot(account: ModelAccount, id: string, source: string, amount: number, expiresAt: Date | null): void {
    account.lots.set(id, {
      id,
      firstSource: source,
      transferable: source !== "promotion",
      claimed: false,
      remaining: amount,
      held: 0,
      expiresAt: expiresAt?.getTime() ?? null,
      createdAt: this.now,
    });
  }

  async grant({ amount: least, lives, choice }: Step, account: ModelAccount): Promise<void> {
    const amount = least * 3;
    const expiresAt = lives === null ? null : new Date(this.now + lives * MINUTE_MS);
    const source = (["promotion", "adjustment", "subscription"] as const)[choice % 3] ?? "promotion";
    if (source === "subscription") {
      await this.grantPaid(account, { source, amount, expiresAt, paymentId: null });
      return;
    }
    const idempotencyKey = this.key();
    const given = { organizationId: account.id, source, expiresAt, reason: "sim", actor: "sim", idempotencyKey };
    const call = (changed: number) => grantCredits({ ...given, amount: toCredits(changed), now: this.at });
    const answer = await call(amount);
    this.addLot(account, answer.grantId, source, amount, expiresAt);
    if (!account.hasClaims) expect(answer.available).toBe(account.available(this.now));
    await this.expectSpendable(account, answer.available);
    this.answered.push({ again: () => call(amount), conflict: () => call(amount + 1), answer });
  }

  private async grantPaid(
    account: ModelAccount,
    lot: { source: GrantSource; amount: number; expiresAt: Date | null; paymentId: string | null },
  ): Promise<void> {
    const { source, amount, expiresAt, paymentId } = lot;
    const paid = {
      organizationId: account.id,
      businessKey: this.key(),
      type: source === "purchase" ? ("purchase" as const) : ("grant" as const),
      lot: { source, amount: toCredits(amount), expiresAt, label: `${source} ${amount}`, stripePaymentId: paymentId },
      reason: "sim",
      now: this.at,
    };
    const once = () => asPlatform((tx) => grantOnce(tx, paid));
    // Both at once, as webhooks do.
    expect((await Promise.all([once(), once()])).filter((id) => id !== null)).toHaveLength(1);
    const [row] = await app.sql<{ id: string }>(
      `SELECT e.grant_id AS id FROM credit_transactions t JOIN credit_movements e ON e.organization_id = t.organization_id AND e.transaction_seq = t.seq
       WHERE t.organization_id = $1 AND t.idempotency_key = $2 AND t.key_space = 'billing'`,
      [account.id, paid.businessKey],
    );
    this.addLot(account, row?.id ?? "", source, amount, expiresAt);
  }

  async purchase({ amount }: Step, account: ModelAccount): Promise<void> {
    const id = `pi_${account.id.slice(-8)}_${this.key().slice(4)}`;
    await app.sql(
      "INSERT INTO stripe_payments (id, organization_id, amount, currency, synced_at) VALUES ($1, $2, $3, 'usd', $4)",
      [id, account.id, amount * 100, this.at],
    );
    await this.grantPaid(account, { source: "purchase", amount: amount * 6, expiresAt: null, paymentId: id });
    this.paid.push({ id, amount: amount * 100, truth: { refunded: 0, disputed: 0, lost: 0 } });
  }

  async hold({ amount, minutes, choice }: Step, account: ModelAccount, queue: Queue): Promise<void> {
    const project = PROJECTS[choice % PROJECTS.length] ?? null;
    const idempotencyKey = this.key();
    const request = (credits: number) => ({
      organizationId: account.id,
      amount: toCredits(credits),
      // Never near a whole minute: time passes in those, and a call takes a few milliseconds of its own.
      leaseSeconds: minutes * 60 + 30,
      eventName: "api_call_basic",
      project,
      idempotencyKey,
      actor: "sim",
      now: this.at,
    });
    const call = (credits: number) => (by: Queue) => by.run(() => holdCredits(request(credits)));
    const answer = await this.expectOutcome(
      account.hold(amount, project, this.now),
      () => call(amount)(queue),
      (value, given) => {
        expect(partsOf(given.allocations)).toEqual(value.parts);
        expect(given.available).toBe(account.available(this.now));
        const leaseEndsAt = given.leaseEndsAt.getTime();
        account.openHold({
          id: given.holdId,
          gift: false,
          parts: value.parts,
          leaseEndsAt,
          project,
          windows: value.windows,
        });
      },
    );
    if (answer) this.answered.push({ again: call(amount), conflict: call(amount + 1), answer });
  }

  private workHold(account: ModelAccount, choice: number): ModelHold | null {
    const open = [...account.holds.values()].filter((hold) => !hold.gift);
    return open[choice % Math.max(1, open.length)] ?? null;
  }

  async capture({ amount, choice }: Step, account: ModelAccount, queue: Queue): Promise<void> {
    const hold = this.workHold(account, choice);
    if (!hold) return;
    const release = choice % 5 === 0;
    const idempotencyKey = this.key();
    const call = (credits: number) => (by: Queue) =>
      by.run(() =>
        captureHold({
          organizationId: account.id,
          holdId: hold.id,
          used: { amount: toCredits(credits) },
          release,
          idempotencyKey,
          actor: "sim",
          now: this.at,
        }),
      );
    const answer = await this.expectOutcome(
      account.capture(hold.id, amount, this.now),
      () => call(amount)(queue),
      (value, given) => {
        value.take.transactionId = given.transactionId;
        expect(partsOf(given.allocations)).toEqual(value.parts);
        expect(given.consumed).toBe(amount);
        if (release) account.end(hold.id);
        expect(given.remaining).toBe(release ? 0 : value.remaining);
        if (!account.hasClaims) expect(given.available).toBe(account.available(this.now));
      },
    );
    if (answer) this.answered.push({ again: call(amount), conflict: call(amount + 1), answer });
  }

  async extend({ minutes, choice }: Step, account: ModelAccount, queue: Queue): Promise<void> {
    const hold = this.workHold(account, choice);
    if (!hold) return;
    const leaseSeconds = minutes * 60 + 30;
    const request = { organizationId: account.id, holdId: hold.id, leaseSeconds, actor: "sim", now: this.at };
    const { leaseEndsAt } = await queue.run(() => extendHold(request));
    expect(leaseEndsAt.getTime()).toBeGreaterThanOrEqual(Math.max(hold.leaseEndsAt, this.now + leaseSeconds * 1000));
    hold.leaseEndsAt = leaseEndsAt.getTime();
  }

  async release({ choice }: Step, account: ModelAccount, queue: Queue): Promise<void> {
    const hold = this.workHold(account, choice);
    if (!hold) return;
    const request = { organizationId: account.id, holdId: hold.id, actor: "sim", now: this.at };
    const answer = await queue.run(() => releaseHold(request));
    const released = account.end(hold.id);
    expect(answer).toMatchObject({ released, captured: hold.captured });
    if (!account.hasClaims) expect(answer.available).toBe(account.available(this.now));
    const late = { code: "HOLD_ENDED", details: { reason: "released" } };
    if (choice % 2 === 0)
      await this.expectRefusal(late, () => queue.run(() => extendHold({ ...request, leaseSeconds: 60 })));
    else expect(await queue.run(() => releaseHold(request))).toMatchObject({ released, captured: hold.captured });
  }

  async reverse({ amount, choice }: Step, account: ModelAccount): Promise<void> {
    const take = account.takes[choice % Math.max(1, account.takes.length)];
    if (!take) return;
    const part = choice % 3 === 0 ? null : (toCredits(amount) as Credits);
    const idempotencyKey = this.key();
    const call = (reason: string) => () =>
      reverseConsumption({
        organizationId: account.id,
        transactionId: take.transactionId,
        amount: part,
        reason,
        idempotencyKey,
        actor: "sim",
        now: this.at,
      });
    const answer = await this.expectOutcome(account.reverse(take, part), call("sim"), (parts, given) => {
      expect(partsOf(given.allocations)).toEqual(parts);
      if (!account.hasClaims) expect(given.available).toBe(account.available(this.now));
    });
    if (answer) await this.expectSpendable(account, answer.available);
    if (answer) this.answered.push({ again: call("sim"), conflict: call("other"), answer });
  }

  /** Whatever an answer led to: what it says may be spent is there. */
  private async expectSpendable(account: ModelAccount, available: number): Promise<void> {
    expect(available).toBe((await getBalance(account.id, this.at)).available);
  }

  async expire(_: Step, account: ModelAccount): Promise<void> {
    await Promise.all([expireLots(account.id, this.at), expireLots(account.id, this.at)]);
    account.expire(this.now);
  }

  async wait({ minutes }: Step): Promise<void> {
    this.now += minutes * MINUTE_MS;
    for (const one of this.accounts) await this.endLeases(one);
  }

  async burnOrder({ choice }: Step, account: ModelAccount): Promise<void> {
    account.burnOrder = choice % 2 === 0 ? "expiring_first" : "purchased_first";
    await setBurnOrder({ organizationId: account.id, burnOrder: account.burnOrder });
  }

  async transfer({ amount }: Step, account: ModelAccount, _: Queue, other: ModelAccount): Promise<void> {
    const idempotencyKey = this.key();
    const call = (credits: number) => () =>
      transferCredits({
        organizationId: account.id,
        toOrganizationId: other.id,
        amount: toCredits(credits),
        reason: "sim",
        idempotencyKey,
        actor: "sim",
        apiKeyId: null,
        now: this.at,
      });
    let given: Part[] = [];
    const answer = await this.expectOutcome(account.give(amount, this.now), call(amount), (parts, said) => {
      given = parts;
      expect(said.lots.map((lot) => lot.amount)).toEqual(parts.map((part) => part.amount));
      account.moveOut(parts);
      expect(said.available).toBe(account.available(this.now));
    });
    if (!answer) return;
    await this.adopt(account, other, given);
    this.answered.push({ again: call(amount), conflict: call(amount + 1), answer });
  }

  /** Lots that have arrived: their ids are read, everything else is foretold. */
  private async adopt(giver: ModelAccount, receiver: ModelAccount, parts: Part[]): Promise<void> {
    const lots = await app.sql<{
      id: string;
      amount: number;
      expires: Date | null;
      origin: string;
      transferable: boolean;
      first: string;
    }>(
      `SELECT g.id, g.amount::float8 AS amount, g.expires_at AS expires, g.transferable, g.origin_source::text AS first
       FROM credit_grants g JOIN credit_movements e ON e.organization_id = g.organization_id AND e.grant_id = g.id
       WHERE g.organization_id = $1 AND g.id <> ALL ($2::uuid[]) AND e.amount = g.amount ORDER BY e.transaction_seq, e.position`,
      [receiver.id, [...receiver.lots.keys()]],
    );
    expect(lots.map((lot) => lot.amount)).toEqual(parts.map((part) => part.amount));
    for (const [index, part] of parts.entries()) {
      const from = giver.lots.get(part.grantId);
      const lot = lots[index];
      if (!from || !lot) throw new Error("a lot that was given is known");
      expect(lot).toMatchObject({ first: from.firstSource, transferable: from.transferable });
      expect(lot.expires?.getTime() ?? null).toBe(from.expiresAt);
      this.addLot(receiver, lot.id, from.firstSource, part.amount, lot.expires);
    }
    // What paid for it may be taken back later, here too.
    if (giver.hasClaims || receiver.hasClaims) await this.readAnew(receiver);
  }

  async gift({ amount, choice }: Step, account: ModelAccount): Promise<void> {
    if ([...account.holds.values()].filter((hold) => hold.gift).length >= 20) return;
    const idempotencyKey = this.key();
    const expiresAt = choice % 2 === 0 ? null : new Date(this.now + (choice + 1) * MINUTE_MS + 30_000);
    const call = (credits: number) => () =>
      createGift({
        organizationId: account.id,
        amount: toCredits(credits),
        message: null,
        expiresAt,
        idempotencyKey,
        actor: "sim",
        apiKeyId: null,
        now: this.at,
      });
    const answer = await this.expectOutcome(account.give(amount, this.now), call(amount), (parts, given) => {
      account.setAside(parts);
      expect(given.available).toBe(account.available(this.now));
    });
    if (!answer) return;
    const [row] = await app.sql<{ hold: string; lots: [string, number][] }>(
      "SELECT h.id AS hold, h.lots FROM credit_gifts g JOIN credit_holds h ON h.organization_id = g.organization_id AND h.id = g.hold_id WHERE g.id = $1",
      [answer.id],
    );
    const parts = (row?.lots ?? []).map(([grantId, part]) => ({ grantId, amount: part }));
    const id = row?.hold ?? "";
    account.openHold({ id, gift: true, parts, leaseEndsAt: answer.expiresAt.getTime(), project: null, windows: [] });
    const hold = account.holds.get(id);
    if (!hold) throw new Error("a gift has its hold");
    this.gifts.push({ id: answer.id, token: answer.link?.split("/").at(-1) ?? "", giver: account, hold });
    this.answered.push({ again: call(amount), conflict: call(amount + 1), answer });
  }

  async claimGift({ choice, other }: Step): Promise<void> {
    const gift = this.gifts[choice % Math.max(1, this.gifts.length)];
    if (!gift) return;
    const { giver, hold } = gift;
    const receiver = this.accounts[(this.accounts.indexOf(giver) + other) % 3] as ModelAccount;
    const call = () => claimGift({ token: gift.token, organizationId: receiver.id, actor: "sim", now: this.at });
    const isOpen = giver.holds.has(hold.id);
    if (!isOpen) {
      const again = await call().then(
        (answer) => answer.replayed,
        (error: { code?: string }) => error.code,
      );
      expect(again === true || again === "GIFT_NOT_VALID").toBe(true);
      return;
    }
    if (!giver.isGiftGood(hold, this.now)) {
      await this.expectRefusal({ code: "GIFT_NOT_VALID", details: { reason: "withdrawn" } }, call);
      giver.end(hold.id);
      if (giver.hasClaims) await this.readAnew(giver);
      return;
    }
    if (giver.suspended) {
      await this.expectRefusal({ code: "GIFT_NOT_VALID", details: { reason: "suspended" } }, call);
      return;
    }
    const parts = hold.parts.map((part) => ({ ...part }));
    const answers = await Promise.all([call(), call()]);
    expect(answers.map((answer) => answer.replayed).sort()).toEqual([false, true]);
    giver.end(hold.id);
    giver.moveOut(parts);
    await this.adopt(giver, receiver, parts);
  }

  async cancelGift({ choice }: Step): Promise<void> {
    const gift = this.gifts[choice % Math.max(1, this.gifts.length)];
    if (!gift) return;
    const { giver, hold } = gift;
    const isOpen = giver.holds.has(hold.id);
    const call = () =>
      cancelGift({ organizationId: giver.id, giftId: gift.id, actor: "sim", apiKeyId: null, now: this.at });
    const state = await call().then(
      (answer) => answer.state,
      (error: { code?: string }) => error.code,
    );
    if (isOpen) expect(state).toBe("cancelled");
    giver.end(hold.id);
    if (giver.hasClaims) await this.readAnew(giver);
  }

  /** A payment is refunded, disputed, lost, won or a refund fails: whatever the bank says now, copies of it included. */
  async payment({ choice, amount }: Step): Promise<void> {
    const paid = this.paid[choice % Math.max(1, this.paid.length)];
    if (!paid) return;
    const share = Math.floor((paid.amount * amount) / 40);
    const truths = [
      { refunded: share, disputed: 0, lost: 0 },
      { refunded: paid.amount, disputed: 0, lost: 0 },
      { ...paid.truth, disputed: paid.amount },
      { ...paid.truth, disputed: share },
      { ...paid.truth, disputed: 0, lost: paid.truth.lost + paid.truth.disputed },
      { ...paid.truth, disputed: 0 },
      { refunded: 0, disputed: 0, lost: 0 },
      paid.truth,
    ];
    const truth = truths[Math.floor(choice / 7) % truths.length] ?? paid.truth;
    paid.truth = truth;
    await app.sql("UPDATE stripe_payments SET refunded = $2, disputed = $3, lost = $4 WHERE id = $1", [
      paid.id,
      truth.refunded,
      truth.disputed,
      truth.lost,
    ]);
    const owners = await app.sql<{ id: string }>(
      "SELECT DISTINCT organization_id AS id FROM credit_grants WHERE stripe_payment_id = $1",
      [paid.id],
    );
    const owning = this.accounts.filter((one) => owners.some(({ id }) => id === one.id));
    // From here on what settles is not foretold, so nothing may wait for it that the model has done already.
    for (const one of owning) await expireLots(one.id, this.at);
    const cause = (type: "refund" | "dispute") => ({ type, reference: paid.id, reason: "sim" });
    const causes = { taking: cause("refund"), freezing: cause("dispute") };
    const tell = () => asPlatform((tx) => claimPaidLots(tx, { stripePaymentId: paid.id }, causes, this.at));
    await tell();
    expect(await tell(), "a copy finds nothing left to do").toBeNull();
    for (const one of owning) {
      one.hasClaims = true;
      await this.readAnew(one);
    }
  }

  async budget({ amount, choice }: Step, account: ModelAccount): Promise<void> {
    const project = choice % 2 === 0 ? "search" : "ingest";
    const window = choice % 4 < 2 ? ("day" as const) : ("total" as const);
    const limit = amount * (window === "day" ? 3 : 12);
    const known = account.budgets.find((budget) => budget.project === project && budget.window === window);
    if (known) {
      await updateBudget({ organizationId: account.id, budgetId: known.id, limit, now: this.at });
      known.limit = limit;
      return;
    }
    const request = { organizationId: account.id, scope: "project" as const, subject: project, window, limit };
    const { id } = await createBudget({ ...request, actor: "sim", now: this.at });
    account.budgets.push({ id, project, window, limit, used: new Map() });
  }

  /** Somebody allows spending again. */
  async allow(_: Step, account: ModelAccount): Promise<void> {
    if (!account.suspended) return;
    await app.sql(
      "UPDATE credit_accounts SET suspended_at = NULL, suspended_reason = NULL, version = version + 1 WHERE organization_id = $1",
      [account.id],
    );
    account.suspended = false;
  }

  // ── What is there ────────────────────────────────────────────────────────────────────────────────────────────

  private async readAnew(account: ModelAccount): Promise<void> {
    const { lots, holds, state } = await readStored(account.id);
    for (const lot of lots) {
      const known = account.lots.get(lot.id);
      if (!known) throw new Error(`nobody knows of lot ${lot.id}`);
      Object.assign(known, { remaining: lot.remaining, held: lot.held, claimed: lot.claimed });
    }
    account.debt = state.debt;
    account.suspended = state.suspended;
    for (const hold of account.holds.values()) {
      const stored = holds.find(({ id }) => id === hold.id);
      expect(stored?.parts ?? null, `hold ${hold.id}`).toEqual(hold.parts);
    }
  }

  private async expectLaws(): Promise<void> {
    const ids = this.accounts.map((account) => account.id);
    expect(await brokenLaws(app.sql, ids, this.at)).toEqual([]);
    for (const account of this.accounts) {
      const { lots, state, used } = await readStored(account.id, this.at);
      const stored = new Map(lots.map((lot) => [lot.id, { remaining: lot.remaining, held: lot.held - lot.over }]));
      const foretold = new Map(
        [...account.lots.values()].map((lot) => [lot.id, { remaining: lot.remaining, held: lot.held }]),
      );
      expect(stored, `lots of ${account.name}`).toEqual(foretold);
      expect(state).toMatchObject({ balance: account.balance, debt: account.debt, suspended: account.suspended });
      if (state.over === 0) {
        for (const budget of account.budgets) {
          const counted = new Map(used.filter(({ id }) => id === budget.id).map((row) => [row.start, row.used]));
          for (const [start, amount] of budget.used)
            expect(counted.get(start) ?? 0, `budget of ${budget.project}`).toBe(amount);
        }
      }
    }
    const one = this.accounts[this.done.steps % 3] as ModelAccount;
    const queue = (await listGrants(one.id, this.at, 0)).filter(({ position }) => position !== null);
    const foretold = one.inBurnOrder().filter((lot) => one.free(lot, this.now) > 0);
    expect(queue.map(({ id }) => id)).toEqual(foretold.map(({ id }) => id));
    const balance = await getBalance(one.id, this.at);
    expect(balance).toMatchObject({ available: one.available(this.now), debt: one.debt, held: one.held });
  }
}

const partsOf = (allocations: readonly Part[]): Part[] =>
  allocations.map(({ grantId, amount }) => ({ grantId, amount }));

interface Stored {
  lots: { id: string; remaining: number; held: number; over: number; claimed: boolean }[];
  holds: { id: string; parts: Part[] }[];
  state: { balance: number; debt: number; suspended: boolean; over: number };
  used: { id: string; start: number; used: number }[];
}

/** An account as it is stored; `over` is what is still held for leases that have ended by now. */
async function readStored(organizationId: string, now: Date = new Date(0)): Promise<Stored> {
  const [row] = await app.sql<{ stored: Stored }>(
    `WITH parts AS (
       SELECT h.id, h.lease_ends_at <= $2 AS over, p.value ->> 0 AS lot, (p.value ->> 1)::float8 AS amount, p.ordinality
       FROM credit_holds h CROSS JOIN jsonb_array_elements(h.lots) WITH ORDINALITY p WHERE h.organization_id = $1 AND h.open)
     SELECT json_build_object(
       'lots', (SELECT coalesce(json_agg(json_build_object('id', g.id, 'remaining', g.remaining, 'held', g.held,
           'claimed', g.to_take > 0 OR g.to_freeze > 0,
           'over', (SELECT coalesce(sum(p.amount), 0) FROM parts p WHERE p.over AND p.lot::uuid = g.id))), '[]')
         FROM credit_grants g WHERE g.organization_id = $1),
       'holds', (SELECT coalesce(json_agg(json_build_object('id', h.id, 'parts', (
           SELECT coalesce(json_agg(json_build_object('grantId', p.lot, 'amount', p.amount) ORDER BY p.ordinality), '[]') FROM parts p WHERE p.id = h.id))), '[]')
         FROM credit_holds h WHERE h.organization_id = $1 AND h.open),
       'state', (SELECT json_build_object('balance', a.balance, 'debt', a.debt, 'suspended', a.suspended_at IS NOT NULL,
           'over', (SELECT coalesce(sum(p.amount), 0) FROM parts p WHERE p.over)) FROM credit_accounts a WHERE a.organization_id = $1),
       'used', (SELECT coalesce(json_agg(json_build_object('id', u.budget_id, 'start', ledger_ms(u.window_start), 'used', u.used)), '[]')
         FROM credit_budget_usage u WHERE u.organization_id = $1)
     ) AS stored`,
    [organizationId, now],
  );
  if (!row) throw new Error("an account is stored");
  return row.stored;
}

it(`random lives of ${STEPS} steps in all keep every law and do what the plain model does`, {
  timeout: 60_000 + STEPS * 500,
}, async () => {
  const replay = `npm run sim:ledger -- --steps ${STEPS} --seed ${SEED}`;
  console.log(`ledger simulation: ${replay}`);
  const began = performance.now();
  const total = { steps: 0, foretold: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: LIFE, maxLength: LIFE }), async (steps) => {
      const life = await Life.begin();
      for (const [index, each] of steps.entries()) {
        try {
          await life.take(each);
        } catch (error) {
          const said = `step ${index} of life ${total.steps / LIFE}: ${JSON.stringify(each)}; replay: ${replay}`;
          throw new Error(`${said}\n${(error as Error).message}`, { cause: error });
        }
      }
      await life.expectVerified();
      for (const name of ["steps", "foretold", "refused"] as const) total[name] += life.done[name];
    }),
    // Not made smaller: a life takes minutes, and its seed tells it again.
    { numRuns: LIVES, seed: SEED, endOnFailure: true },
  );
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${total.steps} steps in ${seconds.toFixed(1)} s; ${total.foretold} answers foretold, ${total.refused} of them refusals`,
  );
  expect(total.foretold).toBeGreaterThan(total.steps / 3);
});
