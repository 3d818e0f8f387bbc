// Invoices that wait to be paid, several at once, sent instead of charged, or at a bank for days: since when a payment is overdue,
// and what is told of one that never came.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { daysLater, sessionOf } from "../setup/billing";
import { again, type Companies, type Company, openCompanies } from "../setup/companies";
import { minutesLater, NOW } from "../setup/tenancy";

let world: Companies;
beforeAll(async () => {
  world = await openCompanies();
  await world.bank("settings", { afterLastRetry: "past_due" });
});
afterAll(() => world.close());

const END = daysLater(31);
/** An hour after the end of a period its invoice is finalized and charged. */
const charged = (end: Date) => minutesLater(60, end);

/** How it stands: the row's status, since when, and from when on nothing can be spent. */
async function overdue(company: Company) {
  const { status, pastDueSince: since } = await company.row();
  const [account] = await world.sql<{ from: Date | null }>(
    'SELECT blocked_from AS "from" FROM credit_accounts WHERE organization_id = $1',
    [company.id],
  );
  return { status, since, blockedFrom: account?.from ?? null };
}

const ok = { status: "active", since: null, blockedFrom: null };
const overdueSince = (since: Date) => ({ status: "past_due", since, blockedFrom: daysLater(7, since) });

/** The texts of the mails that it was sent, by their subjects, oldest first. */
async function mails(company: Company): Promise<[subject: string, text: string][]> {
  const rows = await world.sql<{ subject: string; text: string }>(
    `SELECT payload ->> 'subject' AS subject, payload ->> 'text' AS text FROM graphile_worker._private_jobs
     WHERE payload ->> 'to' = $1 ORDER BY id`,
    [company.owner.email],
  );
  return rows.map(({ subject, text }) => [subject, text]);
}

describe("two invoices that failed", () => {
  /** Of April and of May; the first one Stripe does not try any more. */
  async function withTwo(): Promise<{ company: Company; older: string; newer: string }> {
    const company = await (await world.found()).subscribe("pro");
    await company.payBy("broken");
    await company.live(daysLater(1, END));
    expect(await overdue(company)).toEqual(overdueSince(charged(END)));
    await company.live(daysLater(62));
    const [newer = "", older = ""] = (await company.invoices()).map(({ id }) => id);
    expect(await overdue(company)).toEqual(overdueSince(charged(END)));
    expect((await company.row()).openInvoice?.id).toBe(older);
    await company.payBy("good");
    return { company, older, newer };
  }

  it("are overdue since the first, then since the second", async () => {
    const { company, older, newer } = await withTwo();
    await world.stripe.invoices.pay(older);
    await world.settle();
    expect(await overdue(company)).toEqual(overdueSince(charged(daysLater(61))));
    expect(await company.alerts()).toEqual(["payment_failed"]);
    await world.stripe.invoices.pay(newer);
    await world.settle();
    expect(await overdue(company)).toEqual(ok);
    expect(await company.alerts()).toEqual([]);
    expect(await company.grants()).toEqual([6000, 6000, 6000]);
  });

  it("of which the newer one is paid hold up nothing, and the older one is told of", async () => {
    const { company, older, newer } = await withTwo();
    await world.stripe.invoices.pay(newer);
    await world.settle();
    expect(await overdue(company)).toEqual(ok);
    expect(await company.grants()).toEqual([6000, 6000]);
    expect((await company.row()).openInvoice?.id).toBe(older);
    expect((await mails(company)).at(-1)).toEqual([
      "Northwind: the payment has arrived",
      expect.stringContaining("An older invoice of $49.00 is still open."),
    ]);
  });
});

describe("an invoice that is sent", () => {
  it("is overdue from the day on which it is due, and has its days of grace", async () => {
    const company = await world.found();
    const sent = { collection_method: "send_invoice", days_until_due: 30 } as const;
    const items = [{ price: await world.priceOf("pro") }];
    await world.stripe.subscriptions.create({ customer: company.customer, items, ...sent });
    await world.settle();
    await company.live(daysLater(20));
    expect(await overdue(company)).toEqual(ok);
    const [invoice] = await company.invoices();
    const due = new Date((invoice?.due_date ?? 0) * 1000);
    expect(due).toEqual(daysLater(30));
    for (const days of [30.5, 32, 45]) {
      await company.live(daysLater(days));
      expect(await overdue(company), String(days)).toEqual(overdueSince(due));
    }
  });
});

describe("a debit", () => {
  /** Pro, paid from a bank account. @returns the company and its first payment */
  async function byDebit(account: string): Promise<Company> {
    const company = await world.found();
    const id = sessionOf(await company.offer("pro"));
    await world.bank(`checkout/${id}/complete`, { method: "us_bank_account", account });
    await world.settle();
    return company;
  }

  it("of a renewal that fails is overdue since the bank said so, however often it is looked at", async () => {
    const company = await byDebit("000123456789");
    await company.live(daysLater(5));
    expect(await company.grants()).toEqual([6000]);
    await company.live(daysLater(2, END));
    expect(await overdue(company)).toEqual(ok);
    const [renewal] = await company.invoices();
    await world.bank(`payment_intents/${await company.paymentOf(renewal as NonNullable<typeof renewal>)}/fail`);
    const told = await world.freshEvents();
    await world.settle(told);
    expect(await overdue(company)).toEqual(overdueSince(daysLater(2, END)));
    await world.settle(again(told), daysLater(3, END));
    expect(await overdue(company)).toEqual(overdueSince(daysLater(2, END)));
  });

  it("that begins a subscription and fails is told, once, and gives nothing until something is paid", async () => {
    const company = await byDebit("000111111113");
    expect(await company.alerts()).toEqual([]);
    const told = await company.live(daysLater(5));
    await world.settle(again(told));
    expect(await overdue(company)).toEqual(ok);
    expect(await company.grants()).toEqual([]);
    expect(await company.alerts()).toEqual(["first_payment_failed"]);
    const sentence =
      "The first payment for Pro failed. The plan goes on and gives no credits until its next invoice is paid on April 10, 2026; to have them now, cancel it and subscribe again with another way to pay.";
    const { alerts } = await company.api.billing.summary(company.self);
    expect(alerts.map(({ message }) => message)).toEqual([sentence]);
    expect(await mails(company)).toEqual([
      ["The first payment for Northwind failed", expect.stringContaining(sentence)],
    ]);
    await company.payBy("good");
    await company.renew();
    expect(await company.alerts()).toEqual([]);
    expect(await company.grants()).toEqual([6000]);
    expect(await mails(company)).toHaveLength(1);
    await company.ledger();
  });

  it("that begins a subscription and fails is told no more once that is cancelled", async () => {
    const company = await byDebit("000111111113");
    await company.live(daysLater(5));
    expect(await company.alerts()).toEqual(["first_payment_failed"]);
    await company.api.subscription.cancel({ ...company.self, at: "now" });
    expect(await company.alerts()).toEqual([]);
    expect(company.now).toEqual(daysLater(5, NOW));
  });
});
