// Events that come in another order than things happened, and what holds afterwards.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { daysLater, makeEvent } from "../../setup/billing";
import { again, type Companies, ofType, openCompanies } from "../../setup/companies";

let world: Companies;
beforeAll(async () => {
  world = await openCompanies();
});
afterAll(() => world.close());
afterEach(() => {
  world.billing.line.bend = null;
});

const linkOf = async (id: string) =>
  (
    await world.sql<{ customer: string | null }>(
      "SELECT stripe_customer_id AS customer FROM organizations WHERE id = $1",
      [id],
    )
  )[0]?.customer;

describe("order", () => {
  it("invoice.paid before customer.subscription.created, before checkout completed", async () => {
    const company = await world.foundHere();
    await company.checkOut("pro");
    const told = await world.freshEvents();
    const late = ["customer.subscription.created", "checkout.session.completed"];
    await world.settle(ofType(told, "invoice.paid"));
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.grants()).toEqual([6000]);
    for (const type of late) await world.settle(ofType(told, type));
    await world.settle(told);
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.grants()).toEqual([6000]);
    expect(
      await world.sql("SELECT status::text FROM checkout_sessions WHERE organization_id = $1", [company.id]),
    ).toEqual([{ status: "paid" }]);
    await company.ledger();
  });

  it("updated (active) before created (incomplete)", async () => {
    const company = await world.found();
    const begun = await company.subscribeByHand("pro", { payment_behavior: "default_incomplete" });
    const created = ofType(await world.freshEvents(), "customer.subscription.created");
    expect(created[0]?.data.object).toMatchObject({ status: "incomplete" });
    await world.stripe.invoices.pay(begun.latest_invoice as string);
    await world.settle(await world.freshEvents());
    expect(await company.standing()).toEqual(["pro active"]);
    await world.settle(created);
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.changes()).toEqual(["nothing → active"]);
    expect(await company.grants()).toEqual([6000]);
  });

  it("deleted before an older updated", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id } = await company.row();
    await world.stripe.subscriptions.update(id, { metadata: { note: "kept" } });
    const updated = await world.freshEvents();
    await world.stripe.subscriptions.cancel(id);
    await world.settle(await world.freshEvents());
    await world.settle(updated);
    expect(ofType(updated, "customer.subscription.updated")[0]?.data.object).toMatchObject({ status: "active" });
    expect(await company.standing()).toEqual(["pro cancelled"]);
    expect(await company.changes()).toEqual(["nothing → active", "active → cancelled"]);
  });

  it("an event three days late", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.switchTo("scale");
    const late = await world.freshEvents();
    await company.live(daysLater(2));
    await company.switchTo("pro", { proration_behavior: "none" });
    await company.live(daysLater(3));
    const before = [await company.rows(), await company.credits()];
    expect(await company.standing()).toEqual(["pro active"]);
    await world.settle(late, company.now);
    expect([await company.rows(), await company.credits()]).toEqual(before);
    await company.ledger();
  });

  it("two refetches race", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { id } = await company.row();
    await company.live(daysLater(1));
    const told = (n: number) =>
      makeEvent("customer.subscription.updated", { id, object: "subscription", customer: company.customer, n });
    // The first look has its answer, and is still on its way when Stripe's truth changes and the second one looks.
    let changes: Promise<unknown> | null = null;
    world.billing.line.bend = async (path, answer) => {
      if (changes === null && path.startsWith(`/v1/subscriptions/${id}`)) {
        changes = world.stripe.subscriptions.cancel(id);
        await changes;
      }
      return answer;
    };
    await Promise.all([world.settle([told(1)], company.now), world.settle([told(2)], company.now)]);
    await world.settle(await world.freshEvents());
    expect(changes).not.toBeNull();
    expect(await company.standing()).toEqual(["pro cancelled"]);
    expect(await company.changes()).toEqual(["nothing → active", "active → cancelled"]);
  });

  it("our own create call has not stored the id yet when the webhook comes", async () => {
    const company = await world.foundHere();
    await company.checkOut("pro");
    // As if our process had died between Stripe's answer and its own commit.
    await world.sql("UPDATE organizations SET stripe_customer_id = NULL WHERE id = $1", [company.id]);
    await world.sql("DELETE FROM checkout_sessions WHERE organization_id = $1", [company.id]);
    const told = await world.freshEvents();
    await world.settle(told);
    expect(await linkOf(company.id)).toMatch(/^cus_/);
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.grants()).toEqual([6000]);
    expect(await company.alerts()).toEqual([]);
  });

  it("the object is gone at Stripe (404)", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    const { customer } = company;
    for (const [type, object] of [
      ["invoice.paid", { id: "in_gone", object: "invoice", customer }],
      ["customer.subscription.updated", { id: "sub_gone", object: "subscription", customer }],
      ["checkout.session.completed", { id: "cs_test_gone", object: "checkout.session", customer }],
      ["charge.refunded", { id: "ch_gone", object: "charge", payment_intent: "pi_gone", customer }],
    ] as const) {
      const event = makeEvent(type, object);
      await world.settle([event]);
      expect(await world.statusOf(event.id), type).toMatch(/^(done|ignored)$/);
    }
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.grants()).toEqual([6000]);
    expect(await company.alerts()).toEqual([]);
  });
});

describe("order, by somebody who means harm", () => {
  it("charge.refunded before invoice.paid", async () => {
    const company = await world.found();
    await company.checkOut("pro");
    const paid = await world.freshEvents();
    const [invoice] = await company.invoices();
    await world.stripe.refunds.create({ payment_intent: await company.paymentOf(invoice as Stripe.Invoice) });
    const refunded = await world.freshEvents();
    expect(ofType(refunded, "charge.refunded")).toHaveLength(1);
    await world.settle(ofType(refunded, "charge.refunded"));
    expect(await company.available()).toBe(0);
    await world.settle(paid.reverse());
    await world.settle(refunded);
    expect(await company.credits()).toEqual({ available: 0, held: 0, debt: 0 });
    expect(await company.history()).toEqual(["refund succeeded -4900", "invoice refunded 4900"]);
    await company.ledger();
  });

  it("the events of four months, the last first, each twice", async () => {
    const company = await world.found();
    await company.checkOut("pro");
    const told = await company.pass(daysLater(95));
    await world.settle([...told, ...again(told)].reverse(), company.now);
    expect(await company.grants()).toEqual([6000, 6000, 6000, 6000]);
    expect(await company.history()).toEqual(Array(4).fill("invoice paid 4900"));
    expect(await company.available()).toBe(6000);
    expect(await company.ledger()).toEqual(expect.arrayContaining(Array(4).fill("grant 6000")));
  });

  it("nothing told of a subscription for months, then only its last change", async () => {
    const company = await world.found();
    await company.subscribeByHand("pro");
    await company.pass(daysLater(70));
    await world.stripe.subscriptions.update(
      (await world.stripe.subscriptions.list({ customer: company.customer })).data[0]?.id ?? "",
      { metadata: { note: "moved to another desk" } },
    );
    await world.settle();
    expect(await company.grants()).toEqual([6000, 6000, 6000]);
    expect(await company.history()).toEqual(Array(3).fill("invoice paid 4900"));
    // What was paid for the months that are over can be spent no more.
    expect(await company.available()).toBe(6000);
    await company.ledger();
  });

  it("a failed payment told after it was made good, of a period before", async () => {
    const company = await world.found();
    await company.subscribe("pro");
    await company.payBy("broken");
    await world.settle();
    const failed = ofType(await company.pass(daysLater(31.1)), "invoice.payment_failed");
    await company.payBy("good");
    await company.live(daysLater(36));
    await company.renew();
    expect(failed.length).toBeGreaterThan(0);
    await world.settle(failed, company.now);
    expect(await company.standing()).toEqual(["pro active"]);
    expect(await company.alerts()).toEqual([]);
    expect(await company.grants()).toEqual([6000, 6000, 6000]);
    const [account] = await world.sql("SELECT blocked_from FROM credit_accounts WHERE organization_id = $1", [
      company.id,
    ]);
    expect(account).toEqual({ blocked_from: null });
  });

  it("subscriptions of one second, one after the other: the later one told first", async () => {
    const company = await world.found();
    const { id } = await company.subscribeByHand("pro");
    await world.stripe.subscriptions.cancel(id);
    const ofFirst = await world.freshEvents();
    await company.subscribeByHand("scale");
    await world.settle();
    await world.settle(ofFirst);
    expect(await company.grants()).toEqual([25_000, 6000]);
    await company.ledger();
  });

  it("a subscription that begins and ends in the second in which another has ended gives what was paid for it", async () => {
    const company = await world.found();
    const first = await company.subscribeByHand("pro");
    await company.live(daysLater(10));
    await world.stripe.subscriptions.cancel(first.id);
    const second = await company.subscribeByHand("scale");
    await world.stripe.subscriptions.cancel(second.id);
    await world.settle();
    expect(await company.grants()).toEqual([6000, 25_000]);
    await company.ledger();
  });
});
