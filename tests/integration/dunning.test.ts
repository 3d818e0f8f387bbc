// Overdue payments through a whole billing: grace, the block at its instant in a process that remembers the account, the mails,
// recovery, and the end after the last retry.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { consumeCredits } from "~/server/billing/credits";
import { settleDunning, tellOfDueDunning } from "~/server/billing/dunning";
import { asPlatform } from "~/server/db";
import { addLot, type Billing, callAs, daysLater, expectLawfulLedger, openBilling, quietLogs } from "../setup/billing";
import { serviceOf } from "../setup/callers";
import { openQueue, type Queue } from "../setup/queues";
import { createSubscriber, invoicesOf, planIds, replaceCard, type Subscriber } from "../setup/subscribers";
import { codeOf, createMember } from "../setup/tenancy";

let billing: Billing;
/** Another process, with a memory of its own. */
let elsewhere: Queue;
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  elsewhere = openQueue(billing.database.url);
});
afterAll(async () => {
  await elsewhere.close();
  await billing.close();
});
beforeEach(() => billing.sql("DELETE FROM graphile_worker._private_jobs"));

const FAILED_AT = new Date("2026-04-10T10:30:00Z");
const GRACE_UNTIL = new Date("2026-04-17T10:30:00Z");
const later = (ms: number, from: Date) => new Date(from.getTime() + ms);

const of = (tenant: Subscriber) => ({ organizationId: tenant.id });
const get = (tenant: Subscriber, now: Date) => callAs(tenant.owner, now).subscription.get(of(tenant));

let takes = 0;
const usage = (tenant: Subscriber) => ({ ...of(tenant), eventName: "api_call_basic", quantity: 1 });
const spend = (tenant: Subscriber, now: Date) =>
  callAs(serviceOf(tenant.id), now).credits.consume({ ...usage(tenant), idempotencyKey: `take-${++takes}` });

const spendElsewhere = (tenant: Subscriber, now: Date) =>
  elsewhere.run(() => consumeCredits({ ...usage(tenant), idempotencyKey: `take-${++takes}`, actor: "test", now }));

/** The mails that wait to be sent: to whom, and about what. */
async function mails(): Promise<string[]> {
  const rows = await billing.sql<{ to: string; subject: string }>(
    `SELECT j.payload ->> 'to' AS to, j.payload ->> 'subject' AS subject
     FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = j.task_id
     WHERE t.identifier = 'send-mail' ORDER BY j.id`,
  );
  return rows.map(({ to, subject }) => `${to}: ${subject}`);
}

const alertsOf = (tenant: Subscriber) =>
  billing.sql<{ message: string; open: boolean }>(
    "SELECT message, resolved_at IS NULL AS open FROM billing_alerts WHERE organization_id = $1 AND kind = 'payment_failed' ORDER BY created_at",
    [tenant.id],
  );

/** Moves Stripe's clock and handles what it tells. */
async function goTo(at: Date): Promise<void> {
  await billing.setClock(at);
  await billing.settle();
}

async function setAfterLastRetry(afterLastRetry: "cancel" | "unpaid"): Promise<void> {
  const body = JSON.stringify({ afterLastRetry });
  const answer = await fetch(`${billing.sandbox.url}/_sandbox/settings`, { method: "POST", body });
  expect(answer.status).toBe(200);
}

describe("a renewal that fails", () => {
  let tenant: Subscriber;
  let accountant: string;
  beforeAll(async () => {
    tenant = await createSubscriber(billing);
    accountant = (await createMember(tenant.id, "billing")).email;
    await createMember(tenant.id, "member");
    await createMember(tenant.id, "admin");
    await addLot({ organizationId: tenant.id, amount: 1_000 });
    await replaceCard(billing, tenant, "pm_card_chargeCustomerFail");
  });
  const toBoth = (subject: string) => [`${accountant}: ${subject}`, `${tenant.owner.email}: ${subject}`].sort();

  it("is told at once, with its dates, and everything goes on", async () => {
    await goTo(FAILED_AT);
    const subscription = await get(tenant, FAILED_AT);
    const [invoice] = await invoicesOf(billing, tenant);
    expect(subscription).toMatchObject({
      status: "past_due",
      pastDueSince: FAILED_AT,
      graceUntil: GRACE_UNTIL,
      blocked: false,
      openInvoice: {
        id: invoice?.id,
        amount: 4_900,
        currency: "usd",
        url: invoice?.hosted_invoice_url,
        nextAttemptAt: new Date("2026-04-13T10:30:00Z"),
      },
    });
    const summary = await callAs(tenant.owner, FAILED_AT).billing.summary(of(tenant));
    expect(summary.subscription).toEqual(subscription);
    expect(summary.alerts.map(({ kind, message }) => [kind, message])).toEqual([
      [
        "payment_failed",
        "The payment of $49.00 for Pro failed on April 10, 2026. Credits can be spent until April 17, 2026 at 10:30 UTC; pay the open invoice or update the card before.",
      ],
    ]);
    expect((await mails()).sort()).toEqual(toBoth("A payment for Northwind failed"));
    expect(await spend(tenant, FAILED_AT)).toMatchObject({ available: 999 });
    expect((await spendElsewhere(tenant, FAILED_AT)).available).toBe(998);
  });

  it("is told once, however often it is looked at, and tried again in vain", async () => {
    await goTo(new Date("2026-04-13T11:30:00Z"));
    await asPlatform((tx) => settleDunning(tx, tenant.id, daysLater(4, FAILED_AT)));
    await tellOfDueDunning(daysLater(4, FAILED_AT), 100);
    expect(await mails()).toEqual([]);
    expect(await alertsOf(tenant)).toHaveLength(1);
    expect(await get(tenant, daysLater(4, FAILED_AT))).toMatchObject({ graceUntil: GRACE_UNTIL, blocked: false });
  });

  it("is told a day before spending stops, by the clock", async () => {
    await tellOfDueDunning(later(-86_400_001, GRACE_UNTIL), 100);
    expect(await mails()).toEqual([]);
    for (const _ of [1, 2]) await tellOfDueDunning(daysLater(-1, GRACE_UNTIL), 100);
    expect((await mails()).sort()).toEqual(toBoth("Northwind can spend credits for one more day"));
  });

  it("stops spending at its instant without any job, in each process that remembers the account", async () => {
    const before = later(-60_000, GRACE_UNTIL);
    expect((await spend(tenant, before)).available).toBe(997);
    expect((await spendElsewhere(tenant, before)).available).toBe(996);
    const credits = callAs(serviceOf(tenant.id), before).credits;
    const { holdId } = await credits.hold({ ...of(tenant), amount: 10, idempotencyKey: "hold", leaseSeconds: 3_600 });
    const refusal = {
      code: "PAYMENT_REQUIRED",
      cause: { code: "PAYMENT_OVERDUE", details: { organizationId: tenant.id, since: GRACE_UNTIL } },
    };
    await expect(spend(tenant, GRACE_UNTIL)).rejects.toMatchObject(refusal);
    await expect(spendElsewhere(tenant, GRACE_UNTIL)).rejects.toMatchObject(refusal.cause);

    const now = callAs(serviceOf(tenant.id), GRACE_UNTIL).credits;
    const details = { organizationId: tenant.id, since: GRACE_UNTIL };
    expect(await now.check(usage(tenant))).toMatchObject({ allowed: false, reason: "PAYMENT_OVERDUE", details });
    expect(await now.estimate(usage(tenant))).toMatchObject({
      sufficient: true,
      stopped: { code: "PAYMENT_OVERDUE", details },
    });
    const more = { ...of(tenant), amount: 1, idempotencyKey: "hold more", leaseSeconds: 60 };
    expect(await now.hold(more).catch(codeOf)).toBe("PAYMENT_OVERDUE");
    // What was begun may be finished; balances stay to be seen.
    const capture = { ...of(tenant), holdId, amount: 10, release: true, idempotencyKey: "capture" };
    expect(await now.capture(capture)).toMatchObject({ consumed: 10 });
    expect(await now.balance(of(tenant))).toMatchObject({ available: 986, purchased: 986 });
    expect(await get(tenant, GRACE_UNTIL)).toMatchObject({ status: "past_due", blocked: true });
  });

  it("is told when spending has stopped, once", async () => {
    for (const _ of [1, 2]) await tellOfDueDunning(GRACE_UNTIL, 100);
    expect((await mails()).sort()).toEqual(toBoth("Northwind cannot spend credits until a payment is made"));
    expect(await alertsOf(tenant)).toEqual([
      {
        open: true,
        message:
          "The payment of $49.00 for Pro failed on April 10, 2026. No credits can be spent since April 17, 2026 at 10:30 UTC, until it is paid.",
      },
    ]);
  });

  it("that is paid lets everything go on at once, and that is told", async () => {
    const now = daysLater(1, GRACE_UNTIL);
    await billing.setClock(now);
    await billing.settle();
    await replaceCard(billing, tenant, "pm_card_visa");
    const invoiceId = (await get(tenant, now))?.openInvoice?.id ?? "";
    expect(await callAs(tenant.owner, now).billing.payInvoice({ ...of(tenant), invoiceId })).toEqual({
      status: "paid",
    });
    expect(await get(tenant, now)).toMatchObject({
      status: "active",
      pastDueSince: null,
      graceUntil: null,
      blocked: false,
      openInvoice: null,
    });
    expect((await spend(tenant, now)).consumed).toBe(1);
    expect((await spendElsewhere(tenant, now)).consumed).toBe(1);
    await billing.settle();
    expect((await mails()).sort()).toEqual(toBoth("Northwind: the payment has arrived"));
    expect((await alertsOf(tenant)).map(({ open }) => open)).toEqual([false]);
    await expectLawfulLedger(billing.sql, tenant.id);
  });
});

describe.each(["cancel", "unpaid"] as const)("after the last retry (%s)", (afterLastRetry) => {
  it("access ends, and what was bought is free to be spent again", async () => {
    await setAfterLastRetry(afterLastRetry);
    // Each after the other: Stripe's clock only goes forward.
    const begin = afterLastRetry === "cancel" ? new Date("2026-06-01T09:30:00Z") : new Date("2026-09-01T09:30:00Z");
    await goTo(begin);
    const tenant = await createSubscriber(billing, { now: begin });
    await addLot({ organizationId: tenant.id, amount: 500, at: begin });
    await replaceCard(billing, tenant, "pm_card_chargeCustomerFail");
    await goTo(daysLater(42, begin));
    const blocked = await get(tenant, daysLater(42, begin));
    expect(blocked).toMatchObject({ status: "past_due", blocked: true });
    await expect(spend(tenant, daysLater(42, begin))).rejects.toMatchObject({ cause: { code: "PAYMENT_OVERDUE" } });

    await goTo(daysLater(50, begin));
    const now = daysLater(50, begin);
    expect(await get(tenant, now)).toMatchObject({ status: "expired", pastDueSince: null, blocked: false });
    expect(await spend(tenant, now)).toMatchObject({ consumed: 1, available: 499 });
    expect((await alertsOf(tenant)).map(({ open }) => open)).toEqual([false]);
    const told = (await mails()).filter((mail) => mail.startsWith(tenant.owner.email));
    expect(told).not.toContain(`${tenant.owner.email}: Northwind: the payment has arrived`);
    expect(told.filter((mail) => mail === `${tenant.owner.email}: Northwind: Pro has ended`)).toHaveLength(1);
    // A new subscription may begin.
    const plans = await planIds();
    const input = { ...of(tenant), planId: plans.pro, interval: "month" as const };
    if (afterLastRetry === "cancel")
      expect((await callAs(tenant.owner, now).subscription.checkout(input)).url).toBeTruthy();
  });
});

describe("the end of a trial", () => {
  it("is told of once, three days before, also where no event tells of it", async () => {
    const begin = new Date("2026-12-01T09:30:00Z");
    await goTo(begin);
    const tenant = await createSubscriber(billing, { plan: "starter", now: begin });
    await tellOfDueDunning(daysLater(10, begin), 100);
    const told = async () => (await mails()).filter((mail) => mail.startsWith(tenant.owner.email));
    expect(await told()).toEqual([]);
    for (const _ of [1, 2]) await tellOfDueDunning(daysLater(11, begin), 100);
    await goTo(daysLater(12, begin));
    expect(await told()).toEqual([`${tenant.owner.email}: The trial of Northwind ends on December 15, 2026`]);
    const [mail] = await billing.sql<{ text: string }>(
      "SELECT payload ->> 'text' AS text FROM graphile_worker._private_jobs WHERE payload ->> 'to' = $1",
      [tenant.owner.email],
    );
    expect(mail?.text).toContain("It then costs $15.00.");
    expect(mail?.text).toContain("the card that ends in 4242");
  });
});

it("no upgrade makes a subscription overdue: one that is not paid changes nothing", async () => {
  const begin = new Date("2027-01-05T09:30:00Z");
  await goTo(begin);
  const tenant = await createSubscriber(billing, { now: begin });
  await replaceCard(billing, tenant, "pm_card_chargeCustomerFail");
  const choice = { ...of(tenant), planId: (await planIds()).scale, interval: "month" as const };
  const { token } = await callAs(tenant.owner, begin).subscription.previewChange(choice);
  expect(await callAs(tenant.owner, begin).subscription.change({ ...choice, token })).toMatchObject({
    status: "payment_required",
  });
  await goTo(daysLater(2, begin));
  const [account] = await billing.sql("SELECT blocked_from FROM credit_accounts WHERE organization_id = $1", [
    tenant.id,
  ]);
  expect(account).toEqual({ blocked_from: null });
  expect(await get(tenant, daysLater(2, begin))).toMatchObject({
    status: "active",
    planKey: "pro",
    pastDueSince: null,
  });
  expect(await alertsOf(tenant)).toEqual([]);
});
