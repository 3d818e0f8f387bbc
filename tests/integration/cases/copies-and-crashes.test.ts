// Copies of events, events at once, and processes that die in the middle: what holds afterwards.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { startSandbox } from "~/sandbox/index";
import { sweepStripeEvents } from "~/server/jobs/tasks/by-the-clock";
import { sendMail } from "~/server/jobs/tasks/send-mail";
import type { Mail } from "~/server/mail";
import { processEvent } from "~/server/webhooks/process";
import { replayEvent } from "~/server/webhooks/replay";
import { daysLater, deliver, STRIPE_KEY } from "../../setup/billing";
import { again, type Companies, type Company, ofType, openCompanies } from "../../setup/companies";
import { minutesLater, NOW } from "../../setup/tenancy";

let world: Companies;
/** Where the app's mail goes; stopped, nobody is there to take it. */
let post: Awaited<ReturnType<typeof startSandbox>>;
beforeAll(async () => {
  post = await startSandbox({ port: 0, smtpPort: 0, secretKey: STRIPE_KEY });
  world = await openCompanies({ SMTP_URL: post.smtpUrl ?? "" });
});
afterAll(async () => {
  await world.close();
  await post.close();
});
afterEach(() => {
  world.billing.line.bend = null;
  world.billing.line.mode = "up";
});

/** A company that has just paid for Pro, and what Stripe has told of it, which nobody has delivered yet. */
async function paidPro(): Promise<{ company: Company; told: Stripe.Event[]; paid: Stripe.Event }> {
  const company = await world.found();
  await company.checkOut("pro");
  const told = await world.freshEvents();
  const [paid] = ofType(told, "invoice.paid");
  if (!paid) throw new Error("it was paid");
  return { company, told, paid };
}

async function expectOneOfEach(company: Company): Promise<void> {
  expect(await company.standing()).toEqual(["pro active"]);
  expect(await company.ledger()).toEqual(["grant 6000"]);
  expect(await company.history()).toEqual(["invoice paid 4900"]);
  expect(await company.changes()).toEqual(["nothing → active"]);
}

const attempts = async (id: string) =>
  (
    await world.sql<{ attempts: number; status: string }>(
      "SELECT attempts, status::text FROM stripe_events WHERE id = $1",
      [id],
    )
  )[0];

/** Answers as no release of Stripe's makes them: the code that reads them throws. */
const unreadable = (path: string, answer: Record<string, unknown>) =>
  path.startsWith("/v1/invoices?")
    ? { ...answer, data: (answer.data as object[]).map((invoice) => ({ ...invoice, lines: null })) }
    : answer;

describe("copies, concurrency, crashes", () => {
  it("same event id twice in a row, or to two instances in the same instant", async () => {
    const { company, told, paid } = await paidPro();
    for (const _ of [1, 2]) expect((await deliver(paid, NOW)).status).toBe(200);
    const answers = await Promise.all([deliver(paid, NOW), deliver(paid, NOW)]);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    await Promise.all([processEvent(paid.id, NOW), processEvent(paid.id, NOW)]);
    await world.settle(told);
    await expectOneOfEach(company);
    expect(await attempts(paid.id)).toEqual({ attempts: 1, status: "done" });
  });

  it("two event ids for one change (invoice.paid + invoice.payment_succeeded)", async () => {
    const { company, told } = await paidPro();
    const both = ofType(told, "invoice.paid", "invoice.payment_succeeded");
    expect(both).toHaveLength(2);
    for (const event of both) await deliver(event, NOW);
    await Promise.all(both.map(({ id }) => processEvent(id, NOW)));
    for (const { id } of both) await processEvent(id, NOW);
    await expectOneOfEach(company);
  });

  it("checkout.session.completed and the success page at once", async () => {
    const company = await world.found();
    const url = await company.offer("pro");
    await world.billing.pay(url);
    const sessionId = /cs_[A-Za-z0-9_]+/.exec(url)?.[0] ?? "";
    const completed = ofType(await world.freshEvents(), "checkout.session.completed");
    const page = () => company.api.billing.completeCheckout({ ...company.self, sessionId });
    await Promise.all([page(), world.settle(completed), page()]);
    expect(await page()).toMatchObject({ kind: "subscription", status: "paid" });
    await expectOneOfEach(company);
  });

  it("crash after the event is stored, before its effects", async () => {
    const { company, told } = await paidPro();
    for (const event of told) await deliver(event, NOW);
    expect(await company.rows()).toEqual([]);
    await sweepStripeEvents();
    await expectOneOfEach(company);
  });

  it("crash after the effects are committed, before the answer", async () => {
    const { company, told } = await paidPro();
    await world.settle(told);
    const before = await company.lots();
    // Stripe has not heard of the 200, and the mark that it is done was lost with the process.
    await world.sql(
      `UPDATE stripe_events SET status = 'processing', processed_at = NULL, lease_until = clock_timestamp() - interval '1 second'
       WHERE organization_id = $1`,
      [company.id],
    );
    await world.settle(told);
    await expectOneOfEach(company);
    expect(await company.lots()).toEqual(before);
  });

  it("crash while it is being processed", async () => {
    const { company, paid } = await paidPro();
    await deliver(paid, NOW);
    const leaseEnds = (after: string) =>
      world.sql(
        "UPDATE stripe_events SET status = 'processing', attempts = 1, lease_until = clock_timestamp() + $2::interval WHERE id = $1",
        [paid.id, after],
      );
    await leaseEnds("20 seconds");
    expect(await processEvent(paid.id, NOW)).toBeNull();
    expect(await company.rows()).toEqual([]);
    await leaseEnds("-1 second");
    await processEvent(paid.id, NOW);
    expect(await attempts(paid.id)).toEqual({ attempts: 2, status: "done" });
    await expectOneOfEach(company);
  });

  it("database down in the middle", async () => {
    const { company, told, paid } = await paidPro();
    // Before it is stored: Stripe is told to come again.
    await world.sql("ALTER TABLE stripe_events RENAME TO stripe_events_away");
    const answer = await deliver(paid, NOW).finally(() =>
      world.sql("ALTER TABLE stripe_events_away RENAME TO stripe_events"),
    );
    expect(answer.status).toBe(500);
    // While it is processed: every connection of the app's breaks after Stripe has answered, in the midst of saving.
    await deliver(paid, NOW);
    await world.sql(
      `CREATE FUNCTION cut_off() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$`,
    );
    await world.sql("CREATE TRIGGER cut_off BEFORE INSERT ON credit_grants FOR EACH ROW EXECUTE FUNCTION cut_off()");
    await processEvent(paid.id, NOW).catch(() => null);
    await world.sql("DROP TRIGGER cut_off ON credit_grants; DROP FUNCTION cut_off()");
    expect(await company.rows()).toEqual([]);
    expect(await company.history()).toEqual([]);
    expect(await company.ledger()).toEqual([]);
    await world.sql("UPDATE stripe_events SET lease_until = clock_timestamp() - interval '1 second' WHERE id = $1", [
      paid.id,
    ]);
    await processEvent(paid.id, minutesLater(60));
    await world.settle(told);
    await expectOneOfEach(company);
  });

  it("a handler that throws every time", async () => {
    const { company, told, paid } = await paidPro();
    const other = await world.found();
    world.billing.line.bend = unreadable;
    await deliver(paid, NOW);
    let now = NOW;
    for (let attempt = 0; attempt < 8; attempt++) {
      await processEvent(paid.id, now);
      now = minutesLater(60, now);
    }
    expect(await attempts(paid.id)).toEqual({ attempts: 8, status: "dead" });
    const [row] = await world.sql<{ outcome: string }>("SELECT outcome FROM stripe_events WHERE id = $1", [paid.id]);
    expect(row?.outcome).toContain("TypeError");
    expect(await processEvent(paid.id, now)).toBeNull();
    world.billing.line.bend = null;
    // The others went on meanwhile, and this one does after the fix.
    await other.subscribe("scale");
    expect(await other.grants()).toEqual([25_000]);
    expect(await company.grants()).toEqual([]);
    await replayEvent(paid.id, now);
    await processEvent(paid.id, now);
    await world.settle(told);
    await expectOneOfEach(company);
  });

  it("mail fails", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.payBy("broken");
    await world.sql("DELETE FROM graphile_worker._private_jobs");
    await company.renew();
    const waiting = () =>
      world.sql<{ payload: Mail }>(
        `SELECT j.payload FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = j.task_id
         WHERE t.identifier = 'send-mail'`,
      );
    const [job, ...others] = await waiting();
    expect(others).toEqual([]);
    const before = [await company.rows(), await company.ledger(), await company.alerts()];
    const port = post.smtpPort ?? 0;
    await post.close();
    for (const _ of [1, 2]) await expect(sendMail(job?.payload as Mail)).rejects.toThrow(/ECONNREFUSED|connect/);
    post = await startSandbox({ port: 0, smtpPort: port, secretKey: STRIPE_KEY });
    await sendMail(job?.payload as Mail);
    const mails = (await (await fetch(`${post.url}/_sandbox/mails?to=${company.owner.email}`)).json()) as object[];
    expect(mails).toMatchObject([{ subject: "A payment for Northwind failed" }]);
    expect([await company.rows(), await company.ledger(), await company.alerts()]).toEqual(before);
    expect(await company.standing()).toEqual(["pro past_due"]);
    expect(await waiting()).toHaveLength(1);
  });
});

describe("copies, concurrency, crashes, by somebody who means harm", () => {
  it("all events of a purchase and its refund at once, three times each", async () => {
    const company = await world.found();
    const { payment } = await company.payPack("pack_10000");
    await world.stripe.refunds.create({ payment_intent: payment, amount: 4450 });
    const told = await world.freshEvents();
    const copies = [...told, ...again(told, "b"), ...again(told, "c")];
    for (const event of copies) await deliver(event, NOW);
    await Promise.all(copies.map(({ id }) => processEvent(id, NOW)));
    await world.settle(copies);
    expect(await company.credits()).toEqual({ available: 5000, held: 0, debt: 0 });
    expect((await company.history()).sort()).toEqual([
      "credit_purchase partially_refunded 8900",
      "refund succeeded -4450",
    ]);
    await company.ledger();
  });

  it("an event that is replayed by an admin, redelivered and processed, at once", async () => {
    const { company, told, paid } = await paidPro();
    await world.settle(told);
    await Promise.allSettled([
      ...[1, 2, 3].map(() => replayEvent(paid.id, NOW)),
      ...[1, 2, 3].map(() => deliver(paid, NOW)),
      ...[1, 2, 3].map(() => processEvent(paid.id, NOW)),
    ]);
    await processEvent(paid.id, NOW);
    expect((await attempts(paid.id))?.status).toBe("done");
    await expectOneOfEach(company);
  });

  it("the customer's connection breaks between two pages of a year's invoices", async () => {
    const { company, told } = await paidPro();
    await world.settle(told);
    const events = await company.pass(daysLater(32));
    let cut = 0;
    world.billing.line.bend = (path, answer) => {
      if (path.startsWith("/v1/invoices?") && cut++ === 0) return { half: "an answer" };
      return answer;
    };
    await world.settle(events);
    expect(cut).toBeGreaterThan(0);
    world.billing.line.bend = null;
    for (const { id, created } of events) await processEvent(id, daysLater(1, new Date(created * 1000)));
    expect(await company.grants()).toEqual([6000, 6000]);
    await company.ledger();
  });
});
