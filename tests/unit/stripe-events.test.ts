// Which events we listen to, and what each makes us look at.
import type Stripe from "stripe";
import { describe, expect, it } from "vitest";
import { LISTENED_EVENTS, LISTENED_EVENTS_BY_CALL, targetOf } from "~/server/stripe/events";
import { readHint } from "~/server/stripe/facts";

const hintOf = (type: string, object: Record<string, unknown>, before?: Record<string, unknown>) =>
  readHint({ type, data: { object, ...(before ? { previous_attributes: before } : {}) } } as unknown as Stripe.Event);

describe("the types that we listen to", () => {
  it("are each asked for once, at most twenty in a call", () => {
    expect(LISTENED_EVENTS_BY_CALL.flat()).toEqual(Object.keys(LISTENED_EVENTS));
    for (const types of LISTENED_EVENTS_BY_CALL) expect(types.length).toBeLessThanOrEqual(20);
    expect(LISTENED_EVENTS_BY_CALL.slice(0, -1).every(({ length }) => length === 20)).toBe(true);
  });

  it("each have a reason of their own words, and no other has a target", () => {
    for (const { why } of Object.values(LISTENED_EVENTS)) expect(why.length).toBeGreaterThan(10);
    for (const type of ["invoice.updated", "payment_method.attached", "toString", ""])
      expect(targetOf(type)).toBeNull();
  });
});

describe("what an event makes us look at", () => {
  it.each([
    ["customer.subscription.updated", { id: "sub_1", object: "subscription", customer: "cus_1" }, "sub_1"],
    [
      "subscription_schedule.updated",
      { id: "sub_sched_1", object: "subscription_schedule", customer: "cus_1", subscription: "sub_1" },
      "sub_1",
    ],
    [
      "subscription_schedule.released",
      {
        ...{ id: "sub_sched_1", object: "subscription_schedule", customer: "cus_1" },
        ...{ subscription: null, released_subscription: "sub_1" },
      },
      "sub_1",
    ],
    ["customer.deleted", { id: "cus_1", object: "customer" }, "cus_1"],
    [
      "customer.discount.created",
      { id: "di_1", object: "discount", customer: "cus_1", subscription: "sub_1" },
      "cus_1",
    ],
    ["payment_method.updated", { id: "pm_1", object: "payment_method", customer: "cus_1" }, "cus_1"],
    ["credit_note.voided", { id: "cn_1", object: "credit_note", customer: "cus_1", invoice: "in_1" }, "cn_1"],
    ["invoice.voided", { id: "in_1", object: "invoice", customer: "cus_1" }, "in_1"],
  ])("of %s is what its target says, of the customer that it names", (type, object, objectId) => {
    expect(hintOf(type, object)).toMatchObject({ objectId, customerId: "cus_1" });
  });

  it("of a card that was detached is the customer that it was of", () => {
    const object = { id: "pm_1", object: "payment_method", customer: null };
    expect(hintOf("payment_method.detached", object, { customer: "cus_1" })).toMatchObject({
      objectId: "cus_1",
      customerId: "cus_1",
    });
  });

  it("is known by itself and by what it belongs to", () => {
    const invoice = {
      ...{ id: "in_1", object: "invoice", customer: "cus_1" },
      parent: { subscription_details: { subscription: "sub_1", metadata: { organizationId: "o" } } },
    };
    expect(hintOf("invoice.paid", invoice)).toMatchObject({ organizationId: "o", objectIds: ["in_1", "sub_1"] });
    expect(hintOf("refund.created", { id: "re_1", object: "refund", payment_intent: "pi_1" })).toMatchObject({
      objectIds: ["re_1", "pi_1"],
    });
  });
});
