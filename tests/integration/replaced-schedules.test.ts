// A downgrade that is scheduled, and an upgrade that takes its place: only once somebody has paid for it.
import { afterAll, beforeAll, expect, it } from "vitest";
import { finishReplacing } from "~/server/billing/schedules";
import { daysLater } from "../setup/billing";
import { type Companies, type Company, type Interval, openCompanies } from "../setup/companies";
import { NOW } from "../setup/tenancy";

let world: Companies;
beforeAll(async () => {
  world = await openCompanies();
});
afterAll(() => world.close());

async function change(company: Company, plan: string, interval: Interval): Promise<string> {
  const choice = { ...company.self, planId: world.plans[plan] ?? "", interval };
  const { token } = await company.api.subscription.previewChange(choice);
  return (await company.api.subscription.change({ ...choice, token })).status;
}

/** Scale, with Pro scheduled for the end of the month, and an upgrade to the year that its card does not pay. */
async function withBoth(): Promise<Company> {
  const company = await (await world.found()).subscribe("scale");
  expect(await change(company, "pro", "month")).toBe("scheduled");
  await company.payBy("broken");
  expect(await change(company, "scale", "year")).toBe("payment_required");
  await company.payBy("good");
  await world.settle();
  return company;
}

const get = (company: Company) => company.api.subscription.get(company.self);

/** What the newest invoice asked for. */
const asked = async (company: Company) => (await company.invoices())[0]?.total;

/** Companies of which a job was asked for, since the last time. */
async function jobs(task: string): Promise<string[]> {
  const rows = await world.sql<{ id: string }>(
    `DELETE FROM graphile_worker._private_jobs j USING graphile_worker._private_tasks t
     WHERE t.id = j.task_id AND t.identifier = $1 RETURNING j.payload->>'organizationId' AS id`,
    [task],
  );
  return rows.map(({ id }) => id);
}

it("stands beside an upgrade that waits for its payment, and happens where that is taken back", async () => {
  const company = await withBoth();
  expect(await get(company)).toMatchObject({
    planKey: "scale",
    scheduledChange: { planKey: "pro", interval: "month" },
    pendingChange: { planKey: "scale", interval: "year" },
  });
  // A retry of what was answered already takes nothing else back.
  for (const _ of [1, 2]) await company.api.subscription.undoChange({ ...company.self, change: "pending" });
  expect(await get(company)).toMatchObject({ scheduledChange: { planKey: "pro" }, pendingChange: null });
  await company.renew();
  expect(await company.standing()).toEqual(["pro active"]);
  expect(await asked(company)).toBe(4900);
  expect(await company.grants()).toEqual([25_000, 6000]);
  await company.ledger();
});

it("happens where the upgrade expires without being paid", async () => {
  const company = await withBoth();
  await company.live(daysLater(2));
  expect(await get(company)).toMatchObject({ scheduledChange: { planKey: "pro" }, pendingChange: null });
  await company.renew();
  expect(await company.standing()).toEqual(["pro active"]);
  expect(await asked(company)).toBe(4900);
  expect(await jobs("release-schedule")).toEqual([]);
});

it("happens where the period ends while the upgrade waits", async () => {
  const company = await (await world.found()).subscribe("scale");
  expect(await change(company, "pro", "month")).toBe("scheduled");
  await company.payBy("broken");
  await company.live(daysLater(30.5));
  expect(await change(company, "scale", "year")).toBe("payment_required");
  await company.payBy("good");
  await company.renew();
  expect(await company.standing()).toEqual(["pro active"]);
  expect(await asked(company)).toBe(4900);
});

it("is taken back after the upgrade, where nobody says which of the two", async () => {
  const company = await withBoth();
  await company.api.subscription.undoChange(company.self);
  expect(await get(company)).toMatchObject({ scheduledChange: { planKey: "pro" }, pendingChange: null });
  await company.api.subscription.undoChange(company.self);
  expect(await get(company)).toMatchObject({ planKey: "scale", scheduledChange: null, pendingChange: null });
  await company.renew();
  expect(await asked(company)).toBe(14_900);
});

it("is over once the upgrade is paid, also on Stripe's own page", async () => {
  const company = await withBoth();
  await jobs("release-schedule");
  const { latest_invoice } = await world.stripe.subscriptions.retrieve((await company.row()).id);
  await world.stripe.invoices.pay(String(latest_invoice));
  await world.settle();
  expect(await get(company)).toMatchObject({ planKey: "scale", interval: "year", scheduledChange: null });
  expect(await jobs("release-schedule")).toEqual([company.id]);
  for (const _ of [1, 2]) await finishReplacing(company.id, company.now);
  await world.settle();
  expect((await world.stripe.subscriptions.retrieve((await company.row()).id)).schedule).toBeNull();
  expect(await jobs("release-schedule")).toEqual([]);
  await company.live(daysLater(40));
  expect(await get(company)).toMatchObject({ planKey: "scale", interval: "year", status: "active" });
  expect(await asked(company)).toBeGreaterThan(100_000);
  await company.ledger();
});

it("is over at once where the upgrade is paid at once, though its answer got lost in the middle", async () => {
  const company = await (await world.found()).subscribe("pro");
  expect(await change(company, "starter", "month")).toBe("scheduled");
  const choice = { ...company.self, planId: world.plans.scale ?? "", interval: "month" as const };
  const { token } = await company.api.subscription.previewChange(choice);
  world.billing.line.bend = (path, answer) => (path.endsWith("/release") ? { cut: "off" } : answer);
  await expect(company.api.subscription.change({ ...choice, token })).rejects.toThrow();
  world.billing.line.bend = null;
  expect(await company.api.subscription.change({ ...choice, token })).toEqual({ status: "changed" });
  expect(await get(company)).toMatchObject({ planKey: "scale", scheduledChange: null });
  expect((await world.stripe.subscriptions.retrieve((await company.row()).id)).schedule).toBeNull();
  expect(company.now).toEqual(NOW);
});

it("chosen again while the upgrade waits takes that one back", async () => {
  const company = await withBoth();
  expect(await change(company, "pro", "month")).toBe("scheduled");
  expect(await get(company)).toMatchObject({ scheduledChange: { planKey: "pro" }, pendingChange: null });
  await company.renew();
  expect(await company.standing()).toEqual(["pro active"]);
});
