// Invoices that are paid after the time that they are for: by bank transfer, or at last.
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { grantDueSlices } from "~/server/billing/allowances";
import { daysLater, expectLawfulLedger } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { minutesLater } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const byTransfer = { collection_method: "send_invoice", days_until_due: 60 } as const;

async function subscribeByTransfer(plan: string, interval: "month" | "year" = "month"): Promise<Tenant> {
  const tenant = await life.subscribe(plan, { interval });
  await life.stripe.subscriptions.update((await life.rowOf(tenant)).id, byTransfer);
  return tenant;
}

/** Ends of the organization's lots, oldest first. */
async function endsOf({ id }: Tenant): Promise<Date[]> {
  const rows = await life.sql<{ end: Date }>(
    `SELECT expires_at AS "end" FROM credit_grants WHERE organization_id = $1 ORDER BY created_at, id`,
    [id],
  );
  return rows.map(({ end }) => end);
}

it("a bank transfer that comes after its period buys credits that can be spent, until the end of the running one", async () => {
  const tenant = await subscribeByTransfer("pro");
  const { currentPeriodEnd: end } = await life.rowOf(tenant);
  await life.liveUntil(minutesLater(120, end));
  const invoice = await life.newestInvoice(tenant);
  await life.liveUntil(daysLater(33, end));
  expect([(await life.rowOf(tenant)).status, await life.availableOf(tenant)]).toEqual(["active", 0]);
  const running = await life.newestInvoice(tenant);
  // Weeks before it is due.
  await life.stripe.invoices.pay(invoice.id, { paid_out_of_band: true });
  await life.billing.settle();
  expect(await life.availableOf(tenant)).toBe(6000);
  await life.stripe.invoices.pay(running.id, { paid_out_of_band: true });
  await life.billing.settle();
  expect(await life.availableOf(tenant)).toBe(12_000);
  const { currentPeriodEnd } = await life.rowOf(tenant);
  expect(await endsOf(tenant)).toEqual([end, currentPeriodEnd, currentPeriodEnd]);
  await life.touch(tenant);
  expect(await life.grantsOf(tenant)).toEqual([6000, 6000, 6000]);
  await expectLawfulLedger(life.sql, tenant.id);
});

it("a year that is paid in its second month gives its first one in that", async () => {
  const tenant = await subscribeByTransfer("pro", "year");
  const { currentPeriodEnd: end } = await life.rowOf(tenant);
  await life.liveUntil(minutesLater(120, end));
  const invoice = await life.newestInvoice(tenant);
  await life.liveUntil(daysLater(45, end));
  expect(await life.availableOf(tenant)).toBe(0);
  await life.stripe.invoices.pay(invoice.id, { paid_out_of_band: true });
  await life.billing.settle();
  expect(await life.availableOf(tenant)).toBe(12_000);
  await life.liveUntil(daysLater(62, end));
  await grantDueSlices(life.now(), 1000);
  expect(await life.availableOf(tenant)).toBe(6000);
});

it("an upgrade within a year that is paid in a later month gives its first month in that", async () => {
  const tenant = await subscribeByTransfer("pro", "year");
  const start = life.now();
  await life.liveUntil(daysLater(5, start));
  await life.changePlan(tenant, "scale", { proration_behavior: "always_invoice" }, "year");
  const invoice = await life.newestInvoice(tenant);
  await life.liveUntil(daysLater(45, start));
  await grantDueSlices(life.now(), 1000);
  expect(await life.availableOf(tenant)).toBe(6000);
  await life.stripe.invoices.pay(invoice.id, { paid_out_of_band: true });
  await life.billing.settle();
  const [row] = await life.sql<{ total: number; amounts: number[] }>(
    "SELECT total::int, amounts::int[] FROM allowance_periods WHERE organization_id = $1 AND cause = $2",
    [tenant.id, invoice.id],
  );
  const [first = 0, second = 0, ...rest] = row?.amounts ?? [];
  expect([second, rest.length, row?.total]).toEqual([19_000, 10, row?.amounts.reduce((sum, each) => sum + each, 0)]);
  expect(await life.availableOf(tenant)).toBe(6000 + first + second);
});
