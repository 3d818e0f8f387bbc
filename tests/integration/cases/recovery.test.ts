// Calls to Stripe that fail, and events that never came: what holds afterwards.
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { runReconciliation } from "~/server/jobs/tasks/reconcile";
import { processEvent } from "~/server/webhooks/process";
import { daysLater, deliver } from "../../setup/billing";
import { again, type Companies, type Company, ofType, openCompanies } from "../../setup/companies";
import { codeOf, minutesLater, NOW } from "../../setup/tenancy";

let world: Companies;
beforeAll(async () => {
  world = await openCompanies();
});
afterAll(() => world.close());
afterEach(() => {
  world.billing.line.bend = null;
  world.billing.line.mode = "up";
});

const QUICK = { pauseMs: 0, firstWaitMs: 20, tries: 5, pageSize: 100 };
const reconcile = (at: Date, since: Date | null = null) =>
  runReconciliation({ cause: "test", since, now: minutesLater(10, at), pace: QUICK });

const sessionsAtStripe = async (company: Company) => {
  const customers = (await world.stripe.customers.list({ limit: 100 })).data.filter(
    ({ metadata }) => metadata.organizationId === company.id,
  );
  const sessions = await Promise.all(
    customers.map(async ({ id }) => (await world.stripe.checkout.sessions.list({ customer: id })).data),
  );
  return { customers: customers.length, sessions: sessions.flat().length };
};

describe("calls to Stripe, recovery", () => {
  it("429 or a lock time-out while refetching", async () => {
    const company = await world.found();
    await company.checkOut("pro");
    const told = await world.freshEvents();
    const [paid] = ofType(told, "invoice.paid");
    await deliver(paid as (typeof told)[number], NOW);
    world.billing.line.mode = "limited";
    let now = NOW;
    for (let tries = 0; tries < 12; tries++) {
      await processEvent(paid?.id ?? "", now);
      expect(await world.statusOf(paid?.id ?? "")).toBe("failed");
      now = minutesLater(120, now);
    }
    world.billing.line.mode = "up";
    // Stripe's own word for an object that another call of theirs holds.
    await world.bank("faults", { api: [{ match: "GET /v1/subscriptions/*", kind: "lock_timeout" }] });
    await processEvent(paid?.id ?? "", now);
    expect(await company.grants()).toEqual([]);
    expect(await world.statusOf(paid?.id ?? "")).toBe("failed");
    await world.bank("faults", {});
    await processEvent(paid?.id ?? "", minutesLater(120, now));
    expect(await world.statusOf(paid?.id ?? "")).toBe("done");
    expect(await company.grants()).toEqual([6000]);
  });

  it("500, time-out, reset on a create", async () => {
    for (const mode of ["fails", "reset", "html"] as const) {
      const company = await world.foundHere();
      // The request arrives and is done; what comes back is a failure.
      let lost = 0;
      world.billing.line.bend = (path, answer) => {
        if (!["/v1/customers", "/v1/checkout/sessions"].includes(path) || lost >= 2) return answer;
        lost += 1;
        world.billing.line.mode = mode;
        return { cut: "off" };
      };
      expect(await company.packOffer().catch(codeOf), mode).toBe("STRIPE_UNAVAILABLE");
      world.billing.line.mode = "up";
      expect(await company.packOffer().catch(codeOf), mode).toBe("STRIPE_UNAVAILABLE");
      world.billing.line.mode = "up";
      expect(await company.packOffer(), mode).toContain("cs_");
      expect(lost).toBe(2);
      expect(await sessionsAtStripe(company), mode).toEqual({ customers: 1, sessions: 1 });
      world.billing.line.bend = null;
    }
  });

  it("Stripe down when opening checkout or portal", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const newcomer = await world.foundHere();
    world.billing.line.mode = "fails";
    const started = performance.now();
    const answers = await Promise.all([
      newcomer.offer("pro").catch(codeOf),
      newcomer.packOffer().catch(codeOf),
      company.api.subscription.portal(company.self).catch(codeOf),
    ]);
    expect(answers).toEqual(Array(3).fill("STRIPE_UNAVAILABLE"));
    expect(performance.now() - started).toBeLessThan(5000);
    expect(await world.sql("SELECT 1 FROM checkout_sessions WHERE organization_id = $1", [newcomer.id])).toEqual([]);
    expect(await sessionsAtStripe(newcomer)).toEqual({ customers: 0, sessions: 0 });
    world.billing.line.mode = "up";
    expect(await newcomer.offer("pro")).toContain("cs_");
  });

  it("endpoint down for more than three days; an event that never came", async () => {
    const [renewing, newcomer] = [await world.found(), await world.foundHere()];
    await renewing.subscribe("pro");
    await renewing.pass(daysLater(31.2));
    await newcomer.checkOut("scale");
    const { payment } = await renewing.payPack("pack_2500");
    await world.stripe.refunds.create({ payment_intent: payment, amount: 1250 });
    // Nothing of this is ever delivered.
    const lost = await world.freshEvents();
    expect(ofType(lost, "checkout.session.completed")).toHaveLength(2);
    expect(await renewing.grants()).toEqual([6000]);
    const report = await reconcile(renewing.now);
    expect(report.drift).toBeGreaterThan(0);
    expect(await renewing.grants()).toEqual(expect.arrayContaining([6000, 6000, 2500]));
    expect(await renewing.available()).toBe(6000 + 1250);
    expect(await newcomer.standing()).toEqual(["scale active"]);
    expect(await newcomer.grants()).toEqual([25_000]);
    expect(await reconcile(renewing.now)).toMatchObject({ drift: 0, repaired: 0, findings: [] });
    // What was lost comes after all.
    await world.settle(lost);
    await world.settle(again(lost));
    expect(await renewing.grants()).toHaveLength(3);
    expect(await newcomer.grants()).toEqual([25_000]);
    for (const company of [renewing, newcomer]) await company.ledger();
  });

  it("the reconciler runs while webhooks flow", async () => {
    const companies = [await world.found(), await world.found()];
    for (const company of companies) {
      await company.checkOut("pro");
      await company.payPack("pack_2500");
    }
    const told = await world.freshEvents();
    await Promise.all([reconcile(NOW), world.settle(told), world.settle(again(told).reverse())]);
    await reconcile(NOW);
    for (const company of companies) {
      expect((await company.grants()).sort((a, b) => a - b)).toEqual([2500, 6000]);
      expect(await company.ledger()).toHaveLength(2);
    }
  });
});

describe("recovery, where somebody means harm", () => {
  it("a year of events lost, of which Stripe tells the last month only", async () => {
    const company = await world.found(new Date("2027-01-10T09:30:00Z"));
    await company.subscribe("starter");
    await company.pass(new Date("2027-06-01T00:00:00Z"));
    await world.freshEvents();
    const report = await reconcile(company.now, new Date("2027-01-01T00:00:00Z"));
    expect(report.drift).toBeGreaterThan(0);
    expect(await company.row()).toMatchObject({ status: "active", end: new Date("2027-06-24T09:30:00Z") });
    expect(await company.available()).toBe(1500);
    // Each month that was paid has its line and its allowance, of which the old ones have expired.
    expect(await company.history()).toEqual(Array(5).fill("invoice paid 1500"));
    expect(await company.grants()).toEqual(expect.arrayContaining([300, 1500, 1500, 1500, 1500, 1500]));
    expect(await company.grants()).toHaveLength(6);
    await company.ledger();
  });

  it("a change whose answer was lost, clicked again after the webhook came", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id } = await company.row();
    const choice = { ...company.self, planId: world.plans.scale ?? "", interval: "month" as const };
    const { token } = await company.api.subscription.previewChange(choice);
    let cut = 0;
    world.billing.line.bend = (path, answer) => {
      const isChanged = path === `/v1/subscriptions/${id}` && JSON.stringify(answer).includes("14900");
      return isChanged && cut++ === 0 ? { cut: "off" } : answer;
    };
    expect(await company.api.subscription.change({ ...choice, token }).catch(codeOf)).toBe("STRIPE_UNAVAILABLE");
    world.billing.line.bend = null;
    await world.settle();
    expect(await company.standing()).toEqual(["scale active"]);
    const second = await company.api.subscription.change({ ...choice, token }).catch(codeOf);
    expect(second).toEqual({ status: "changed" });
    const charges = (await world.stripe.charges.list({ customer: company.customer })).data;
    expect(charges.map(({ amount }) => amount).sort((a, b) => a - b)).toEqual([4900, 10_000]);
    expect(await company.grants()).toEqual([6000, 19_000]);
    await company.ledger();
  });

  it("Stripe away at the instant of a cancellation", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    world.billing.line.mode = "fails";
    const cancel = () => company.api.subscription.cancel({ ...company.self, at: "period_end" });
    expect(await cancel().catch(codeOf)).toBe("STRIPE_UNAVAILABLE");
    expect(await company.row()).toMatchObject({ status: "active", cancelsAt: null });
    world.billing.line.mode = "up";
    expect(await cancel()).toEqual({ endsAt: daysLater(31) });
    await world.settle();
    await company.live(daysLater(31.1));
    expect(await company.standing()).toEqual(["pro cancelled"]);
    expect(await company.grants()).toEqual([6000]);
  });
});
