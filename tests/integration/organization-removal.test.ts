// An organization that is deleted: nothing of it can be used, nothing of it goes on at Stripe, and nothing brings it back.
import type Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { closeAtStripe } from "~/server/billing/organization-removal";
import { renameAtStripe } from "~/server/jobs/tasks/organization-at-stripe";
import { callAs, daysLater, makeEvent, PLATFORM, sessionOf } from "../setup/billing";
import { type Life, openLife, type Tenant } from "../setup/stripe-life";
import { codeOf, createMember, createTenant } from "../setup/tenancy";

let life: Life;
beforeAll(async () => {
  life = await openLife();
});
afterAll(() => life.billing.close());
afterEach(() => life.tidy());

const remove = (tenant: Tenant, actor = tenant.owner as Parameters<typeof callAs>[0], slug = tenant.slug) =>
  callAs(actor, life.now()).organizations.remove({ organizationId: tenant.id, slug });

const isDeleted = async (tenant: Tenant) =>
  (
    await life.sql<{ gone: boolean }>("SELECT deleted_at IS NOT NULL AS gone FROM organizations WHERE id = $1", [
      tenant.id,
    ])
  )[0]?.gone;

const spend = (tenant: Tenant, idempotencyKey: string) =>
  callAs(PLATFORM, life.now()).credits.consume({
    ...{ organizationId: tenant.id, eventName: "api_call_basic", quantity: 1, idempotencyKey },
  });

describe("deleting an organization", () => {
  it.each(["admin", "billing", "member"] as const)("is not for its %s", async (role) => {
    const tenant = await createTenant();
    const person = await createMember(tenant.id, role);
    await expect(remove(tenant, person)).rejects.toSatisfy((error) => codeOf(error) === "FORBIDDEN");
    expect(await isDeleted(tenant)).toBe(false);
  });

  it("asks for its address", async () => {
    const tenant = await createTenant();
    await expect(remove(tenant, tenant.owner, `${tenant.slug}x`)).rejects.toSatisfy(
      (error) => codeOf(error) === "INVALID_INPUT",
    );
    expect(await isDeleted(tenant)).toBe(false);
  });

  it("is nothing for another organization's owner, and done once", async () => {
    const [tenant, other] = [await createTenant(), await createTenant()];
    await expect(remove(tenant, other.owner)).rejects.toSatisfy((error) => codeOf(error) === "NOT_FOUND");
    await remove(tenant);
    await expect(remove(tenant)).rejects.toSatisfy((error) => codeOf(error) === "NOT_FOUND");
  });

  it("by the platform ends all access at once, and its credits cannot be spent", async () => {
    const tenant = await life.subscribe("pro");
    await spend(tenant, "before");
    await remove(tenant, PLATFORM);
    await expect(spend(tenant, "after")).rejects.toSatisfy((error) => codeOf(error) === "NOT_FOUND");
    await expect(callAs(tenant.owner, life.now()).credits.balance({ organizationId: tenant.id })).rejects.toSatisfy(
      (error) => codeOf(error) === "NOT_FOUND",
    );
    expect((await callAs(tenant.owner, life.now()).organizations.list()).map(({ id }) => id)).not.toContain(tenant.id);
  });

  it("cancels its subscriptions and closes its checkouts at Stripe, as soon as Stripe answers, and once", async () => {
    const tenant = await life.subscribe("pro");
    const { id } = await life.rowOf(tenant);
    const other = await life.subscribeInDashboard(tenant, "scale");
    const product = (await callAs(null).creditProducts.list())[0];
    const { url } = await callAs(tenant.owner, life.now()).creditProducts.checkout({
      ...{ organizationId: tenant.id, productId: product?.id ?? "" },
    });
    await remove(tenant);
    life.billing.line.mode = "fails";
    await expect(closeAtStripe(tenant.id, life.now())).rejects.toSatisfy(
      (error) => codeOf(error) === "STRIPE_UNAVAILABLE",
    );
    life.billing.line.mode = "up";
    for (const again of [false, true]) {
      const before = life.billing.line.calls.length;
      await closeAtStripe(tenant.id, life.now());
      const changes = life.billing.line.calls.slice(before).filter((call) => /^DELETE|\/expire$/.test(call));
      expect(changes).toHaveLength(again ? 0 : 3);
    }
    for (const subscription of [id, other]) {
      expect(await life.stripe.subscriptions.retrieve(subscription)).toMatchObject({ status: "canceled" });
    }
    expect(await life.stripe.checkout.sessions.retrieve(sessionOf(url))).toMatchObject({ status: "expired" });
    expect((await life.rowOf(tenant)).status).toBe("cancelled");
    expect(
      await life.sql("SELECT 1 FROM checkout_sessions WHERE organization_id = $1 AND status = 'open'", [tenant.id]),
    ).toEqual([]);
  });

  it("is not undone by events that come later, and what comes to life at Stripe is ended again", async () => {
    const tenant = await life.subscribe("pro");
    await remove(tenant);
    await closeAtStripe(tenant.id, life.now());
    await life.billing.settle();
    await life.passUntil(daysLater(1, life.now()));
    const id = await life.subscribeInDashboard(tenant, "scale");
    await life.billing.settle();
    expect(await isDeleted(tenant)).toBe(true);
    expect(await life.grantsOf(tenant)).toEqual([6000]);
    expect((await life.alertsOf(tenant)).map(({ kind }) => kind)).toEqual(["paid_after_removal"]);
    await expect(spend(tenant, "later")).rejects.toSatisfy((error) => codeOf(error) === "NOT_FOUND");
    await closeAtStripe(tenant.id, life.now());
    expect(await life.stripe.subscriptions.retrieve(id)).toMatchObject({ status: "canceled" });
    const customer = await life.customerOf(tenant);
    const late = makeEvent("customer.subscription.updated", { id, object: "subscription", customer });
    await life.billing.settle([late]);
    expect(await life.statusesOf([late])).toEqual(new Set(["done"]));
    expect(await isDeleted(tenant)).toBe(true);
  });

  it("with a checkout that was paid in the same moment gives no credits, and tells a person", async () => {
    const tenant = await createTenant();
    const product = (await callAs(null).creditProducts.list())[0];
    const { url } = await callAs(tenant.owner, life.now()).creditProducts.checkout({
      ...{ organizationId: tenant.id, productId: product?.id ?? "" },
    });
    await life.billing.pay(url);
    await remove(tenant);
    await closeAtStripe(tenant.id, life.now());
    await life.billing.settle();
    expect(await life.grantsOf(tenant)).toEqual([]);
    expect(await life.alertsOf(tenant)).toEqual([{ kind: "paid_after_removal", subject: sessionOf(url) }]);
  });

  it("leaves one that was not deleted alone", async () => {
    const tenant = await life.subscribe("pro");
    await closeAtStripe(tenant.id, life.now());
    expect((await life.rowOf(tenant)).status).toBe("active");
  });
});

describe("renaming an organization", () => {
  it("reaches Stripe's customer by a job, as the name is then", async () => {
    const tenant = await life.subscribe("pro");
    const rename = (name: string) =>
      callAs(tenant.owner, life.now()).organizations.update({ organizationId: tenant.id, name });
    await rename("Southwind");
    await rename("Eastwind");
    await renameAtStripe({ organizationId: tenant.id });
    const customer = (await life.customerOf(tenant)) ?? "";
    expect(((await life.stripe.customers.retrieve(customer)) as Stripe.Customer).name).toBe("Eastwind");
  });

  it("is nothing at Stripe where there is no customer, or none any more", async () => {
    const tenant = await createTenant();
    await renameAtStripe({ organizationId: tenant.id });
    await life.sql("UPDATE organizations SET stripe_customer_id = 'cus_gone' WHERE id = $1", [tenant.id]);
    await renameAtStripe({ organizationId: tenant.id });
    expect(await life.customerOf(tenant)).toBe("cus_gone");
  });
});
