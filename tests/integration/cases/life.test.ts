// What goes wrong in the life of a subscription, and what holds afterwards.
import type Stripe from "stripe";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grantDueSlices } from "~/server/billing/allowances";
import { callAs, daysLater, sessionOf } from "../../setup/billing";
import { again, type Companies, type Company, ofType, openCompanies } from "../../setup/companies";
import { codeOf, minutesLater, NOW } from "../../setup/tenancy";

let world: Companies;
beforeAll(async () => {
  world = await openCompanies();
});
afterAll(() => world.close());

/** What somebody clicks in the portal that our app has opened for them. */
async function inPortal(company: Company, path: string, form: Record<string, string> = {}): Promise<void> {
  const { url } = await company.api.subscription.portal(company.self);
  const answer = await fetch(`${url}/${path}`, { method: "POST", body: new URLSearchParams(form), redirect: "manual" });
  expect(answer.status, await answer.text()).toBe(303);
  await world.settle();
}

/** Invoices that asked for something, oldest first. */
const asked = async (company: Company) =>
  (await company.invoices())
    .filter(({ amount_due }) => amount_due > 0)
    .map(({ amount_due }) => amount_due)
    .reverse();

describe("the life of a subscription", () => {
  it("first paid period, each renewal", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const told = [];
    for (let month = 0; month < 3; month++) told.push(...(await company.renew()));
    await world.settle(again(told));
    expect(await company.grants()).toEqual([6000, 6000, 6000, 6000]);
    expect((await company.lots()).map(({ expires }) => expires)).toEqual(
      ["2026-04-10", "2026-05-10", "2026-06-10", "2026-07-10"].map((day) => new Date(`${day}T09:30:00Z`)),
    );
    expect(await company.history()).toEqual(Array(4).fill("invoice paid 4900"));
    expect(await company.available()).toBe(6000);
    expect(await company.ledger()).toHaveLength(4);
  });

  it("$0 trial invoice", async () => {
    const company = await world.found();
    await company.subscribe("starter");
    const [invoice] = await company.invoices();
    expect(invoice).toMatchObject({ status: "paid", total: 0 });
    expect(await company.lots()).toMatchObject([{ amount: 300, expires: daysLater(14), label: "Starter, trial" }]);
    expect(await company.history()).toEqual([]);
    expect(await company.ledger()).toEqual(["grant 300"]);
  });

  it("trial ends with payment, or without a payment method (cancel, pause, create_invoice)", async () => {
    const paying = await world.found();
    await paying.subscribe("starter");
    const told = await paying.live(minutesLater(120, daysLater(14)));
    await world.settle(again(told));
    expect(await paying.standing()).toEqual(["starter active"]);
    expect(await paying.grants()).toEqual([300, 1500]);
    expect(await paying.changes()).toEqual(["nothing → trial", "trial → active"]);

    for (const [behavior, status] of [
      ["cancel", "cancelled"],
      ["pause", "expired"],
      ["create_invoice", "past_due"],
    ] as const) {
      const company = await world.found();
      await world.stripe.subscriptions.create({
        customer: company.customer,
        items: [{ price: await world.priceOf("starter") }],
        trial_period_days: 14,
        trial_settings: { end_behavior: { missing_payment_method: behavior } },
      });
      await world.settle();
      expect(await company.grants(), behavior).toEqual([300]);
      await company.live(minutesLater(180, daysLater(14)));
      expect(await company.standing(), behavior).toEqual([`starter ${status}`]);
      expect(await company.grants(), behavior).toEqual([300]);
      expect(await company.available(), behavior).toBe(0);
      await company.ledger();
    }
  });

  it("a second trial for the same organization", async () => {
    const company = await world.found();
    await company.subscribe("starter");
    await world.stripe.subscriptions.cancel((await company.row()).id);
    await world.settle();
    await company.subscribe("starter");
    expect(await company.standing()).toEqual(["starter cancelled", "starter active"]);
    expect(await company.grants()).toEqual([300, 1500]);
    // Nor does one that somebody gives by hand bring credits of a trial again.
    await world.stripe.subscriptions.cancel((await company.row()).id);
    await company.subscribeByHand("starter", { trial_period_days: 14 });
    await world.settle();
    expect(await company.standing()).toEqual(["starter cancelled", "starter cancelled", "starter trial"]);
    expect(await company.grants()).toEqual([300, 1500]);
    await company.ledger();
  });

  it("upgrade in the middle of a period in the portal", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id, start, end } = await company.row();
    await company.live(daysLater(15.5));
    await inPortal(company, `change/${id}`, { price: await world.priceOf("scale") });
    expect(await company.standing()).toEqual(["scale active"]);
    // Half of the month: half of the difference, at what each plan's list price gives.
    expect([start, end]).toEqual([NOW, daysLater(31)]);
    const [invoice] = await company.invoices();
    expect(invoice).toMatchObject({ status: "paid", amount_due: 7450 - 2450 });
    expect(await company.grants()).toEqual([6000, 12_500 - 3000]);
    expect((await company.lots()).map(({ expires }) => expires)).toEqual([end, end]);
    await world.settle(again(await world.freshEvents()));
    await company.renew();
    expect(await company.grants()).toEqual([6000, 9500, 25_000]);
    await company.ledger();
  });

  it("the same upgrade, paid", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.live(daysLater(15.5));
    const choice = { ...company.self, planId: world.plans.scale ?? "", interval: "month" as const };
    const shown = await company.api.subscription.previewChange(choice);
    expect(shown.dueNow.amount).toBe(5000);
    expect(await company.api.subscription.change({ ...choice, token: shown.token })).toEqual({ status: "changed" });
    await world.settle();
    expect(await asked(company)).toEqual([4900, 5000]);
    expect(shown.credits).toMatchObject({ now: 9500, takenBack: 0 });
    expect(await company.grants()).toEqual([6000, 9500]);
    expect(await company.available()).toBe(15_500);
    await company.ledger();
  });

  it("used up on the small plan, upgraded on the last day for cents", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.spend(6000);
    await company.live(daysLater(30.9));
    await company.switchTo("scale");
    await world.settle();
    // A tenth of a day for 48 cents less 16: what those buy of each plan at its list price, and no allowance of 25,000.
    expect(await asked(company)).toEqual([4900, 48 - 16]);
    const bought = Math.floor((25_000 * 48) / 14_900) - Math.ceil((6000 * 16) / 4900);
    expect(await company.grants()).toEqual([6000, bought]);
    expect(bought).toBe(60);
    expect(await company.available()).toBe(60);
    await company.ledger();
  });

  it("downgrade at period end", async () => {
    const company = await world.found();
    await company.subscribe("scale");
    const choice = { ...company.self, planId: world.plans.pro ?? "", interval: "month" as const };
    const { token } = await company.api.subscription.previewChange(choice);
    expect(await company.api.subscription.change({ ...choice, token })).toEqual({ status: "scheduled" });
    await world.settle();
    expect(await company.row()).toMatchObject({ plan: "scale", scheduledChange: { planId: world.plans.pro } });
    await company.live(daysLater(30));
    expect(await company.grants()).toEqual([25_000]);
    await company.renew();
    expect(await company.row()).toMatchObject({ plan: "pro", status: "active", scheduledChange: null });
    expect(await company.grants()).toEqual([25_000, 6000]);
    expect(await asked(company)).toEqual([14_900, 4900]);
    await company.ledger();
  });

  it("annual plan that grants monthly, after a week of downtime, started on the 31st", async () => {
    const begins = new Date("2027-08-31T12:00:00Z");
    const company = await world.found(begins);
    await company.subscribe("pro", "year");
    // The worker was away from the day before the second slice until a week after it.
    await company.live(new Date("2027-10-07T00:00:00Z"));
    for (const _ of [1, 2]) await grantDueSlices(company.now, 100);
    await company.live(new Date("2028-03-07T00:00:00Z"));
    for (const _ of [1, 2]) await grantDueSlices(company.now, 100);
    const ends = ["09-30", "10-31", "11-30", "12-31", "01-31", "02-29", "03-31"];
    expect((await company.lots()).map(({ amount, expires }) => [amount, expires?.toISOString().slice(5, 16)])).toEqual(
      ends.map((day) => [6000, `${day}T12:00`]),
    );
    expect(await company.available()).toBe(6000);
    await company.ledger();
  });

  it("payment fails, then succeeds", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.payBy("broken");
    const told = await company.renew();
    expect(await company.standing()).toEqual(["pro past_due"]);
    expect(await company.alerts()).toEqual(["payment_failed"]);
    expect(await company.grants()).toEqual([6000]);
    expect(await company.history()).toEqual(["invoice failed 4900", "invoice paid 4900"]);
    await company.payBy("good");
    told.push(...(await company.live(daysLater(4, company.now))));
    expect(await company.standing()).toEqual(["pro active"]);
    await world.settle(again(told));
    expect(await company.changes()).toEqual(["nothing → active", "active → past_due", "past_due → active"]);
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await company.history()).toEqual(["invoice paid 4900", "invoice paid 4900"]);
    expect(await company.alerts()).toEqual([]);
    await company.ledger();
  });

  it("retries exhausted, as canceled or as unpaid", async () => {
    for (const after of ["cancel", "unpaid"] as const) {
      await world.bank("settings", { afterLastRetry: after });
      const company = await world.found();
      await company.subscribe("pro");
      await company.payBy("broken");
      await company.renew();
      await company.live(daysLater(60));
      expect(await company.standing(), after).toEqual(["pro expired"]);
      expect(await company.grants(), after).toEqual([6000]);
      expect(await company.available(), after).toBe(0);
      expect((await company.changes()).at(-1), after).toBe("past_due → expired");
      expect((await world.stripe.subscriptions.retrieve((await company.row()).id)).status).toBe(
        after === "cancel" ? "canceled" : "unpaid",
      );
      await company.ledger();
    }
    await world.bank("settings", { afterLastRetry: "cancel" });
  });

  it("cancel in the portal at period end, undo it", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id, end } = await company.row();
    await inPortal(company, `cancel/${id}`);
    expect(await company.api.subscription.get(company.self)).toMatchObject({ status: "active", cancelsAt: end });
    await inPortal(company, `renew/${id}`);
    expect(await company.api.subscription.get(company.self)).toMatchObject({ status: "active", cancelsAt: null });
    await company.renew();
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.grants()).toEqual([6000, 6000]);
  });

  it("seat quantity changed", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.live(daysLater(3));
    const { id } = await company.row();
    const { items } = await world.stripe.subscriptions.retrieve(id);
    for (const quantity of [3, 1, 4, 1]) {
      const item = { id: items.data[0]?.id ?? "", quantity };
      await world.stripe.subscriptions.update(id, { items: [item], proration_behavior: "create_prorations" });
      await world.settle();
      expect(await company.grants(), String(quantity)).toEqual([6000]);
    }
    await company.renew();
    expect(await company.grants()).toEqual([6000, 6000]);
    await company.ledger();
  });

  it("void or uncollectible invoice", async () => {
    for (const how of ["voidInvoice", "markUncollectible"] as const) {
      const company = await world.found();
      await company.subscribe("pro");
      await company.payBy("broken");
      await company.renew();
      const open = (await company.row()).openInvoice?.id ?? "";
      const { status } = await world.stripe.invoices[how](open);
      await world.settle();
      expect(await company.grants(), how).toEqual([6000]);
      expect(await company.history(), how).toEqual([`invoice ${status} 4900`, "invoice paid 4900"]);
      expect(await company.available(), how).toBe(0);
      await company.ledger();
    }
  });

  it("invoice with more than ten lines", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { customer, now } = company;
    // The plan's line stands behind thirty others, on the third page of ten.
    for (let n = 1; n <= 30; n++) {
      await world.stripe.invoiceItems.create({ customer, currency: "usd", amount: 100, description: `Work ${n}` });
    }
    await company.renew();
    const [invoice] = await company.invoices();
    expect(invoice).toMatchObject({ status: "paid", total: 4900 + 30 * 100 });
    expect((await world.stripe.invoices.listLineItems(invoice?.id ?? "", { limit: 100 })).data).toHaveLength(31);
    expect(now).toEqual(NOW);
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await company.history()).toEqual(["invoice paid 7900", "invoice paid 4900"]);
  });

  it("customer deleted at Stripe", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await world.stripe.customers.del(company.customer);
    const told = await world.freshEvents();
    await world.settle(told);
    await world.settle(again(told).reverse());
    expect(await company.standing()).toEqual(["pro cancelled"]);
    const link = () => world.sql("SELECT stripe_customer_id AS id FROM organizations WHERE id = $1", [company.id]);
    expect(await link()).toEqual([{ id: null }]);
    await company.subscribe("pro");
    expect(await company.standing()).toEqual(["pro cancelled", "pro active"]);
    const [linked] = await link();
    expect(linked?.id).toMatch(/^cus_/);
    expect(linked?.id).not.toBe(company.customer);
    expect(await company.grants()).toEqual([6000, 6000]);
    await company.ledger();
  });

  it("organization deleted here", async () => {
    const { closeAtStripe, removeOrganization } = await import("~/server/billing/organization-removal");
    const company = await world.found();
    await company.subscribe("pro");
    const { id } = await company.row();
    await removeOrganization({ organizationId: company.id, slug: company.slug, now: NOW });
    await closeAtStripe(company.id, NOW);
    expect((await world.stripe.subscriptions.retrieve(id)).status).toBe("canceled");
    const told = await world.freshEvents();
    await world.settle(told);
    await world.tellOf("customer.subscription.updated", { id, object: "subscription", status: "active" }, NOW);
    expect(await company.standing()).toEqual(["pro cancelled"]);
    expect(await company.grants()).toEqual([6000]);
    expect(await company.api.credits.balance(company.self).catch(codeOf)).toBe("NOT_FOUND");
    expect(ofType(told, "customer.subscription.deleted")).toHaveLength(1);
  });
});

describe("the life of a subscription, driven by somebody who means harm", () => {
  it("checkout for another plan while a schedule runs", async () => {
    const company = await world.found();
    await company.subscribe("scale");
    const choice = { ...company.self, planId: world.plans.pro ?? "", interval: "month" as const };
    await company.api.subscription.change({
      ...choice,
      token: (await company.api.subscription.previewChange(choice)).token,
    });
    expect(await company.offer("starter").catch(codeOf)).toBe("ALREADY_SUBSCRIBED");
    // One that is made by hand is second: it is told, and gives nothing while the first lives.
    await company.subscribeByHand("starter");
    await world.settle();
    expect(await company.standing()).toEqual(["scale active"]);
    expect(await company.alerts()).toEqual(["second_subscription"]);
    expect(await company.grants()).toEqual([25_000]);
    await company.renew();
    expect(await company.grants()).toEqual([25_000, 6000]);
    expect(await company.standing()).toEqual(["pro active"]);
    await company.ledger();
  });

  it("trial extended twice", async () => {
    const company = await world.found();
    await company.subscribe("starter");
    const { id } = await company.row();
    for (const days of [20, 28]) {
      await company.live(daysLater(days - 10));
      await world.stripe.subscriptions.update(id, { trial_end: daysLater(days).getTime() / 1000 });
      await world.settle();
    }
    expect(await company.row()).toMatchObject({ status: "trial", trialEnd: daysLater(28) });
    // Its credits went on with it: the same three hundred, not three times as many.
    expect((await company.lots()).filter(({ remaining }) => remaining > 0)).toMatchObject([
      { amount: 300, remaining: 300, expires: daysLater(28), label: "Starter, trial" },
    ]);
    expect(await company.available()).toBe(300);
    await company.live(minutesLater(120, daysLater(28)));
    expect(await company.available()).toBe(1500);
    await company.ledger();
  });

  it("two subscriptions ended in the wrong order", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const first = await company.row();
    await company.live(daysLater(1));
    const second = await company.subscribeByHand("scale");
    await world.settle();
    await company.live(daysLater(2));
    // Told of the first's end only after the second's, which came later at Stripe.
    await world.stripe.subscriptions.cancel(first.id);
    const firstEnds = await world.freshEvents();
    await company.pass(daysLater(3));
    await world.stripe.subscriptions.cancel(second.id);
    await world.settle(await world.freshEvents());
    await world.settle(firstEnds);
    expect((await company.standing()).sort()).toEqual(["pro cancelled", "scale cancelled"]);
    expect(await company.alerts()).toEqual([]);
    // For a day it was the only one, and it was paid.
    expect((await company.grants()).sort((a, b) => a - b)).toEqual([6000, 25_000]);
    await company.ledger();
  });

  it("an invoice paid out of band", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.payBy("broken");
    await company.renew();
    await world.stripe.invoices.pay((await company.row()).openInvoice?.id ?? "", { paid_out_of_band: true });
    const told = await world.freshEvents();
    await world.settle(told);
    await world.settle(again(told));
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await company.history()).toEqual(["invoice paid 4900", "invoice paid 4900"]);
    expect(await company.alerts()).toEqual([]);
    await company.ledger();
  });

  it("price archived between preview and change", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const choice = { ...company.self, planId: world.plans.scale ?? "", interval: "month" as const };
    const { token } = await company.api.subscription.previewChange(choice);
    const archive = (active: boolean) =>
      world.sql("UPDATE plan_prices SET active = $2 WHERE plan_id = $1 AND interval = 'month' AND currency = 'usd'", [
        choice.planId,
        active,
      ]);
    await archive(false);
    expect(await company.api.subscription.change({ ...choice, token }).catch(codeOf)).toBe("PLAN_NOT_AVAILABLE");
    await archive(true);
    // At Stripe alone: nothing has changed, and the answer is no crash.
    const price = await world.priceOf("scale");
    await world.stripe.prices.update(price, { active: false });
    const refused = await company.api.subscription.change({ ...choice, token }).catch(codeOf);
    await world.stripe.prices.update(price, { active: true });
    expect(refused).toBe("STRIPE_REFUSED");
    await world.settle();
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await asked(company)).toEqual([4900]);
  });

  it("quantity 0", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id } = await company.row();
    const { items } = await world.stripe.subscriptions.retrieve(id);
    const item = { id: items.data[0]?.id ?? "", quantity: 0 };
    await world.stripe.subscriptions.update(id, { items: [item], proration_behavior: "none" });
    await world.settle();
    await company.renew();
    await company.renew();
    const invoices = await company.invoices();
    expect(invoices.map(({ status, total }) => [status, total])).toEqual([
      ["paid", 0],
      ["paid", 0],
      ["paid", 4900],
    ]);
    // Nothing was sold, so nothing is given.
    expect(await company.grants()).toEqual([6000]);
  });

  it("a subscription begun with quantity 0", async () => {
    const company = await world.found();
    await company.subscribeByHand("pro", { items: [{ price: await world.priceOf("pro"), quantity: 0 }] });
    await world.settle();
    expect(await company.grants()).toEqual([]);
  });

  it("a renewal paid from the customer's balance", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await world.stripe.customers.createBalanceTransaction(company.customer, { amount: -10_000, currency: "usd" });
    await company.renew();
    const [invoice] = await company.invoices();
    expect(invoice).toMatchObject({ status: "paid", total: 4900, amount_due: 0 });
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await company.history()).toEqual(["invoice paid 4900", "invoice paid 4900"]);
    await company.ledger();
  });

  it("an uncollectible invoice that is paid after all", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.payBy("broken");
    await company.renew();
    const invoice = (await company.row()).openInvoice?.id ?? "";
    await world.stripe.invoices.markUncollectible(invoice);
    await world.settle();
    await world.stripe.invoices.pay(invoice, { payment_method: await company.card("good") });
    await world.settle();
    expect(await company.grants()).toEqual([6000, 6000]);
    expect((await company.history())[0]).toBe("invoice paid 4900");
    await company.ledger();
  });

  it("a subscription by the API with a billing_cycle_anchor", async () => {
    const company = await world.found();
    const anchor = daysLater(10);
    await company.subscribeByHand("pro", { billing_cycle_anchor: anchor.getTime() / 1000 });
    await world.settle();
    const [first] = await company.invoices();
    const paid = first?.total ?? 0;
    expect(paid).toBeGreaterThan(1400);
    expect(paid).toBeLessThan(1800);
    // Ten days are paid, so ten days' credits are given, until the anchor.
    expect(await company.lots()).toMatchObject([{ amount: Math.floor((6000 * paid) / 4900), expires: anchor }]);
    await company.renew();
    expect((await company.grants()).slice(1)).toEqual([6000]);
    await company.ledger();

    // A year that begins with a part has its months by the anchor: told as it goes, or when the part is over.
    const months: { slices: string[]; lots: string[] }[] = [];
    for (const isLate of [false, true]) {
      const yearly = await world.found();
      const items = [{ price: await world.priceOf("pro", "year") }];
      const { id } = await yearly.subscribeByHand("pro", {
        items,
        billing_cycle_anchor: daysLater(70).getTime() / 1000,
      });
      const told: Stripe.Event[] = [];
      const tell = async (events: Stripe.Event[]) => (isLate ? void told.push(...events) : world.settle(events));
      await tell(await yearly.pass(daysLater(20)));
      const item = (await world.stripe.subscriptions.retrieve(id)).items.data[0]?.id ?? "";
      const change = [{ id: item, price: await world.priceOf("scale", "year") }];
      await world.stripe.subscriptions.update(id, { items: change, proration_behavior: "always_invoice" });
      await tell(await yearly.pass(daysLater(70.1)));
      await world.settle(told, yearly.now);
      await grantDueSlices(yearly.now, 100);
      const rows = await world.sql<{ slice: string }>(
        `SELECT concat_ws(' ', period_start, anchor, slices, amounts::text) AS slice FROM allowance_periods
         WHERE organization_id = $1 ORDER BY period_start`,
        [yearly.id],
      );
      const lots = (await yearly.lots()).map(
        ({ amount, expires }) => `${amount} until ${expires?.toISOString().slice(0, 10)}`,
      );
      months.push({ slices: rows.map(({ slice }) => slice), lots: lots.sort() });
    }
    const [live, late] = months;
    expect(late).toEqual(live);
    expect(live?.lots).toContain("1807 until 2026-03-19");
  });

  it("a product renamed, and metadata removed from a subscription, in the dashboard", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id } = await company.row();
    const { items } = await world.stripe.subscriptions.retrieve(id);
    const product = items.data[0]?.price.product as string;
    await world.stripe.products.update(product, { name: "Free of charge" });
    await world.stripe.subscriptions.update(id, { metadata: { organizationId: "" } });
    await world.stripe.customers.update(company.customer, { metadata: { organizationId: "" } });
    await world.settle();
    await company.renew();
    await world.stripe.products.update(product, { name: "Pro" });
    await world.settle();
    expect(await company.api.subscription.get(company.self)).toMatchObject({ planName: "Pro", status: "active" });
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await company.alerts()).toEqual([]);
  });

  it("a subscription whose metadata is changed to another organization's", async () => {
    const [company, victim] = [await world.found(), await world.found()];
    await company.subscribe("pro");
    const { id } = await company.row();
    await world.stripe.subscriptions.update(id, { metadata: { organizationId: victim.id } });
    const told = await world.freshEvents();
    await world.settle(told);
    await company.renew();
    expect(await victim.rows()).toEqual([]);
    expect(await victim.grants()).toEqual([]);
    expect(await company.grants()).toEqual([6000]);
    expect(await world.statusOf(ofType(told, "customer.subscription.updated")[0]?.id ?? "")).toBe("quarantined");
    // Set right, what waited is given, once.
    await world.stripe.subscriptions.update(id, { metadata: { organizationId: company.id } });
    await world.settle();
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await victim.ledger()).toEqual([]);
  });

  it("paused, cancelled, resumed", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id, end } = await company.row();
    await company.api.subscription.pause(company.self);
    await world.stripe.subscriptions.update(id, { cancel_at_period_end: true });
    await world.settle();
    await company.api.subscription.resume(company.self);
    await world.settle();
    expect(await company.row()).toMatchObject({ status: "active", cancelsAt: end });
    await company.live(daysLater(0.1, end));
    expect(await company.standing()).toEqual(["pro cancelled"]);
    expect(await company.api.subscription.resume(company.self).catch(codeOf)).toBe("NO_SUBSCRIPTION");
    expect(await company.grants()).toEqual([6000]);
    await company.ledger();
  });

  it("card expired at renewal, then the invoice paid by hand", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.payBy("broken");
    await company.renew();
    const invoiceId = (await company.row()).openInvoice?.id ?? "";
    await company.payBy("good");
    expect(await company.api.billing.payInvoice({ ...company.self, invoiceId })).toEqual({ status: "paid" });
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await company.standing()).toEqual(["pro active"]);
    await world.settle();
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await asked(company)).toEqual([4900, 4900]);
  });

  it("a year granted monthly with three weeks of downtime, begun on 31 January of a leap year", async () => {
    const company = await world.found(new Date("2028-01-31T08:00:00Z"));
    await company.subscribe("scale", "year");
    // Nothing runs from 20 February until 12 March, and again from 25 April until 16 May.
    for (const back of ["2028-03-12", "2028-05-16", "2028-05-16", "2029-01-30"]) {
      await company.live(new Date(`${back}T00:00:00Z`));
      await grantDueSlices(company.now, 100);
    }
    expect((await company.lots()).map(({ amount, expires }) => [amount, expires?.toISOString().slice(0, 10)])).toEqual(
      [
        ...["2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31", "2028-06-30", "2028-07-31", "2028-08-31"],
        ...["2028-09-30", "2028-10-31", "2028-11-30", "2028-12-31", "2029-01-31"],
      ].map((day) => [25_000, day]),
    );
    expect(await company.available()).toBe(25_000);
    await company.ledger();
  });

  it("up, down and up again in one period yields no more credits than its money", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    for (const [day, plan] of [
      [5, "scale"],
      [10, "pro"],
      [15, "scale"],
      [20, "starter"],
      [25, "scale"],
    ] as const) {
      await company.live(daysLater(day));
      await company.switchTo(plan);
      await world.settle();
    }
    const paid = (await company.invoices()).reduce((sum, { total }) => sum + total, 0);
    const { available } = await company.credits();
    // The best list price: 25,000 for 149.00.
    expect(available).toBeLessThanOrEqual(Math.floor((paid * 25_000) / 14_900));
    expect(available).toBeGreaterThan(0);
    await company.ledger();
  });

  it("a plan given free for ever by a coupon, then dearer", async () => {
    const company = await world.found();
    const coupon = await world.stripe.coupons.create({ percent_off: 100, duration: "forever" });
    await company.subscribeByHand("pro", { discounts: [{ coupon: coupon.id }] });
    await world.settle();
    await company.renew();
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await asked(company)).toEqual([]);
    await company.live(daysLater(15.5, (await company.row()).start));
    await company.switchTo("scale");
    await world.settle();
    // Nothing was paid on either side, so time counts: half of each, and nothing doubles.
    expect((await company.grants()).slice(2).reduce((sum, amount) => sum + amount, 0)).toBeLessThanOrEqual(9500 + 200);
    expect(await company.credits()).toMatchObject({ debt: 0 });
    await company.ledger();
  });

  it("two plans as items of one subscription", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id } = await company.row();
    await world.stripe.subscriptions.update(id, {
      items: [{ price: await world.priceOf("starter") }],
      proration_behavior: "always_invoice",
    });
    await world.settle();
    await company.renew();
    const paid = (await company.invoices()).reduce((sum, { total }) => sum + total, 0);
    expect(paid).toBe(2 * (4900 + 1500));
    const lots = await company.lots();
    expect(lots.filter(({ label }) => label.startsWith("Pro")).map(({ amount }) => amount)).toEqual([6000, 6000]);
    expect(await company.row()).toMatchObject({ plan: "pro", status: "active" });
    await company.ledger();
  });

  it("a change to yearly that is not paid for, then given up", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.payBy("broken");
    await company.live(daysLater(10));
    await company.switchTo(
      "pro",
      { proration_behavior: "always_invoice", payment_behavior: "pending_if_incomplete" },
      "year",
    );
    await world.settle();
    expect(await company.row()).toMatchObject({ plan: "pro", status: "active", interval: "month" });
    expect(await company.grants()).toEqual([6000]);
    await company.live(daysLater(12));
    await company.payBy("good");
    await company.renew();
    expect(await company.row()).toMatchObject({ status: "active", interval: "month" });
    expect(await company.grants()).toEqual([6000, 6000]);
    expect(await asked(company)).toContain(4900);
    await company.ledger();
  });

  it.each(["by debit", "by debit that fails", "by an invoice that is sent"])(
    "an upgrade that is paid %s",
    async (how) => {
      const company = await world.found();
      if (how === "by an invoice that is sent") {
        const items = [{ price: await world.priceOf("pro") }];
        const sent = { collection_method: "send_invoice", days_until_due: 20 } as const;
        await world.stripe.subscriptions.create({ customer: company.customer, items, ...sent });
        await company.live(daysLater(1));
        const [first] = await company.invoices();
        await world.stripe.invoices.pay(first?.id ?? "", { paid_out_of_band: true });
      } else {
        const session = sessionOf(await company.offer("pro"));
        await world.bank(`checkout/${session}/complete`, { method: "us_bank_account", account: "000123456789" });
      }
      await world.settle();
      await company.live(daysLater(15.5));
      expect(await company.grants()).toEqual([6000]);
      const choice = { ...company.self, planId: world.plans.scale ?? "", interval: "month" as const };
      const { token, dueNow } = await company.api.subscription.previewChange(choice);
      // Stripe lets no such change wait for its payment: the plan changes, and its credits come with the money.
      for (const _ of [1, 2]) {
        expect(await company.api.subscription.change({ ...choice, token })).toEqual({ status: "changed" });
      }
      await world.settle();
      expect(await company.standing()).toEqual(["scale active"]);
      expect(await company.grants()).toEqual([6000]);
      const [invoice] = await company.invoices();
      expect(invoice).toMatchObject({ status: "open", amount_due: dueNow.amount });
      await company.live(daysLater(17));
      if (how === "by an invoice that is sent") {
        await world.stripe.invoices.pay(invoice?.id ?? "", { paid_out_of_band: true });
        await world.settle();
      }
      if (how === "by debit that fails") {
        await world.bank(`payment_intents/${await company.paymentOf(invoice as Stripe.Invoice)}/fail`);
        await world.settle();
        expect(await company.row()).toMatchObject({ plan: "scale", status: "past_due", pastDueSince: company.now });
        expect(await company.grants()).toEqual([6000]);
      } else {
        await company.live(daysLater(25));
        expect(await company.standing()).toEqual(["scale active"]);
        expect(await company.grants()).toEqual([6000, 9500]);
      }
      await company.ledger();
    },
  );

  it("an upgrade while the payment of the plan of before has not come: in the hour of its draft, or at a bank", async () => {
    const renewing = await (await world.found()).subscribe("pro");
    await renewing.live(minutesLater(30, daysLater(31)));
    const debited = await world.found();
    const session = sessionOf(await debited.offer("pro"));
    await world.bank(`checkout/${session}/complete`, { method: "us_bank_account", account: "000222222227" });
    await world.settle();
    const invoiceId = (await debited.row()).openInvoice?.id ?? "";
    expect(await debited.api.billing.payInvoice({ ...debited.self, invoiceId }).catch(codeOf)).toBe("WRONG_STATE");
    for (const company of [renewing, debited]) {
      const choice = { ...company.self, planId: world.plans.scale ?? "", interval: "month" as const };
      // Stripe would credit time that nobody has paid for, and may never pay for.
      expect(await company.api.subscription.previewChange(choice).catch(codeOf)).toBe("WRONG_STATE");
      expect(await company.standing()).toEqual(["pro active"]);
    }
    await renewing.live(daysLater(32));
    const choice = { ...renewing.self, planId: world.plans.scale ?? "", interval: "month" as const };
    const { token } = await renewing.api.subscription.previewChange(choice);
    expect(await renewing.api.subscription.change({ ...choice, token })).toEqual({ status: "changed" });
    // The bank has refused: nothing of the time is credited, for nothing of it was paid.
    await debited.live(daysLater(10));
    const shown = await debited.api.subscription.previewChange({ ...choice, ...debited.self });
    expect(shown.dueNow.lines.every(({ amount }) => amount > 0)).toBe(true);
  });

  it("cancelled at Stripe with prorated credit, and subscribed again with that credit", async () => {
    const company = await world.found();
    await company.subscribe("scale");
    await company.live(daysLater(1));
    await company.spend(20_000);
    await world.stripe.subscriptions.cancel((await company.row()).id, { prorate: true, invoice_now: true });
    await world.settle();
    await company.subscribeByHand("scale");
    await world.settle();
    const bill = (await company.invoices()).reduce((sum, { amount_paid }) => sum + amount_paid, 0);
    const spent = 20_000;
    const { available, debt } = await company.credits();
    // Whatever came back as money is not there as credits too.
    expect(available - debt + spent).toBeLessThanOrEqual(Math.floor((bill * 25_000) / 14_900) + 1);
    await company.ledger();
  });

  it("pays by hand twice, from two pages", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.payBy("broken");
    await company.renew();
    const invoiceId = (await company.row()).openInvoice?.id ?? "";
    await company.payBy("good");
    const pay = () => callAs(company.owner, company.now).billing.payInvoice({ ...company.self, invoiceId });
    expect(await Promise.all([pay(), pay()])).toEqual([{ status: "paid" }, { status: "paid" }]);
    await world.settle();
    expect((await world.stripe.charges.list({ customer: company.customer })).data.filter((c) => c.paid)).toHaveLength(
      2,
    );
    expect(await company.grants()).toEqual([6000, 6000]);
  });

  it.each([
    ["up", "pro", "scale", 6775, [6000, 12_871], 18_871],
    ["down", "scale", "pro", -6775, [25_000], 12_127],
  ] as const)("prorations that wait, invoiced by hand: %s", async (_, from, to, total, grants, available) => {
    const company = await world.found();
    const { id, items } = await company.subscribeByHand(from);
    await company.live(daysLater(10));
    const item = { id: items.data[0]?.id ?? "", price: await world.priceOf(to) };
    await world.stripe.subscriptions.update(id, { items: [item], proration_behavior: "create_prorations" });
    await world.settle();
    expect(await company.grants()).toEqual([grants[0]]);
    const invoice = await world.stripe.invoices.create({ customer: company.customer, subscription: id });
    expect(invoice.total).toBe(total);
    await world.stripe.invoices.finalizeInvoice(invoice.id);
    if (total > 0) await world.stripe.invoices.pay(invoice.id);
    await world.settle();
    expect(await company.grants()).toEqual(grants);
    expect(await company.available()).toBe(available);
    await company.ledger();
  });
});
