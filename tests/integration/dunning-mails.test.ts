// What the mails about overdue payments say, where nobody paid and nothing is overdue any more, and where not everything is gone.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { daysLater } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

/** What the mails say that wait to be sent to the tenant's people. */
async function mailsOf({ id }: Tenant): Promise<string[]> {
  const rows = await life.sql<{ text: string }>(
    `SELECT j.payload::text AS text FROM graphile_worker._private_jobs j JOIN graphile_worker._private_tasks t ON t.id = j.task_id
     WHERE t.identifier = 'send-mail' AND j.key LIKE 'notice:' || $1 || ':%' ORDER BY j.id`,
    [id],
  );
  return rows.map(({ text }) => text);
}

/** Its subject and text. */
const said = (mails: string[]) => mails.map((mail) => JSON.parse(mail) as { subject: string; text: string });

it("an overdue renewal that is voided is told of as what it is, once, also after the next one was paid", async () => {
  const tenant = await life.subscribe("pro");
  await life.changeCard(tenant, "pm_card_chargeCustomerFail");
  await life.liveUntil(minutesLater(120, (await life.rowOf(tenant)).currentPeriodEnd));
  await life.stripe.invoices.voidInvoice((await life.newestInvoice(tenant)).id);
  await life.billing.settle();
  expect((await life.rowOf(tenant)).status).toBe("active");
  expect([await life.grantsOf(tenant), await life.availableOf(tenant)]).toEqual([[6000], 0]);
  await life.changeCard(tenant, "pm_card_visa");
  await life.liveUntil(minutesLater(120, (await life.rowOf(tenant)).currentPeriodEnd));
  expect(await life.grantsOf(tenant)).toEqual([6000, 6000]);
  const mails = said(await mailsOf(tenant));
  expect(mails.map(({ subject }) => subject)).toEqual([
    "A payment for Northwind failed",
    "Northwind: no payment is overdue any more",
  ]);
  expect(mails.at(-1)?.text).toContain("was withdrawn without a payment");
});

it("of a subscription that ends over an upgrade that nobody paid is told that what was paid can be spent", async () => {
  const tenant = await life.subscribe("pro", { interval: "year" });
  await life.changeCard(tenant, "pm_card_chargeCustomerFail");
  const start = life.now();
  const unpaid = { proration_behavior: "always_invoice", payment_behavior: "allow_incomplete" } as const;
  await life.changePlan(tenant, "scale", unpaid, "year");
  await life.billing.settle();
  for (let day = 1; day < 30 && (await life.rowOf(tenant)).status !== "expired"; day += 1) {
    await life.liveUntil(daysLater(day, start));
  }
  expect((await life.rowOf(tenant)).status).toBe("expired");
  // The year of pro was paid, and its month runs.
  expect(await life.availableOf(tenant)).toBe(6000);
  expect(said(await mailsOf(tenant)).at(-1)).toMatchObject({
    subject: "Northwind: Scale has ended",
    text: expect.stringContaining("Those that were paid for can be spent until they expire"),
  });
});
