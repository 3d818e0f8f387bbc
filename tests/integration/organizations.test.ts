// Organizations: made with what they need, found by whom they concern, and named apart.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createOrganization, getOrganizationBySlug, listOrganizations } from "~/server/billing/organizations";
import { slugFromName } from "~/server/billing/slugs";
import { asPlatform } from "~/server/db";
import { createMember, createPerson, createTenant, NOW, openApp } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openApp>>;
beforeAll(async () => {
  app = await openApp();
});
afterAll(() => app.close());

describe("a new organization", () => {
  it("has an empty credit account and one owner", async () => {
    const person = await createPerson();
    const { id } = await createOrganization({ name: "Northwind Robotics", owner: person.userId, now: NOW });
    const rows = await asPlatform((tx) =>
      tx.organization.findUniqueOrThrow({ where: { id }, include: { creditAccount: true, memberships: true } }),
    );
    expect(rows).toMatchObject({
      name: "Northwind Robotics",
      slug: "northwind-robotics",
      burnOrder: "purchased_first",
    });
    expect(rows.creditAccount).toMatchObject({ balance: 0n, held: 0n, lastSeq: 0n });
    expect(rows.memberships).toMatchObject([{ userId: person.userId, role: "owner", createdAt: NOW }]);
  });

  it("is not half made when its owner does not exist", async () => {
    const owner = "00000000-0000-7000-8000-000000000000";
    await expect(createOrganization({ name: "Half made", owner, now: NOW })).rejects.toThrow();
    expect(await asPlatform((tx) => tx.organization.count({ where: { name: "Half made" } }))).toBe(0);
  });

  it("gets a slug of its own when twenty of one name are made at once", async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => createOrganization({ name: "Acme", now: NOW })));
    const slugs = made.map(({ slug }) => slug);
    expect(new Set(slugs).size).toBe(20);
    expect(slugs).toEqual(expect.arrayContaining(["acme", "acme-2", "acme-3", "acme-4", "acme-5"]));
    for (const slug of slugs) expect(slug).toMatch(/^acme(-[2-5]|-[0-9a-z]{6})?$/);
  });

  it.each([
    ["Åre & Söhne GmbH", "are-and-sohne-gmbh"],
    ["  Łódź / Æther — №7  ", "lodz-aether-no7"],
    ["Joe's Crab Shack", "joes-crab-shack"],
    ["x".repeat(80), "x".repeat(32)],
    ["Admin", "admin-team"],
    ["API", "api-team"],
    ["_next", "next-team"],
    ["Invitations", "invitations-team"],
  ])("named %s lives at %s", async (name, slug) => {
    expect((await createOrganization({ name, now: NOW })).slug).toBe(slug);
  });

  it.each(["株式会社", "Привет", "🚀🚀", "x"])("named %s gets an address all the same", async (name) => {
    expect((await createOrganization({ name, now: NOW })).slug).toMatch(/^team-[0-9a-z]{6}$/);
  });

  it("never has a slug that would need escaping", () => {
    for (const name of ["../../etc", "a/b?c#d", "%2e%2e", "a\u0000b", "a b", "ÿ".repeat(80)]) {
      expect(slugFromName(name)).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
    }
  });
});

describe("a person", () => {
  it("sees the organizations they belong to, by name, with their role", async () => {
    const zebra = await createTenant("Zebra");
    const apple = await createTenant("Apple");
    await createTenant("Mango");
    const person = await createMember(zebra.id, "billing");
    await asPlatform((tx) =>
      tx.membership.create({
        data: { organizationId: apple.id, userId: person.userId, role: "member", createdAt: NOW },
      }),
    );
    expect(await listOrganizations(person.userId)).toEqual([
      { id: apple.id, name: "Apple", slug: apple.slug, role: "member" },
      { id: zebra.id, name: "Zebra", slug: zebra.slug, role: "billing" },
    ]);
  });

  it("opens an organization by its address only where they belong, unless they run the platform", async () => {
    const tenant = await createTenant("Private");
    expect(await getOrganizationBySlug(tenant.slug, tenant.owner)).toMatchObject({ id: tenant.id, role: "owner" });
    const admin = await createPerson({ isPlatformAdmin: true });
    expect(await getOrganizationBySlug(tenant.slug, admin)).toMatchObject({ id: tenant.id, role: "platform" });
    const stranger = await createPerson();
    for (const slug of [tenant.slug, "no-such-slug"]) {
      await expect(getOrganizationBySlug(slug, stranger)).rejects.toMatchObject({
        code: "NOT_FOUND",
        details: { slug },
      });
    }
  });

  it("does not see an organization that was deleted", async () => {
    const tenant = await createTenant("Gone");
    await asPlatform((tx) => tx.organization.update({ where: { id: tenant.id }, data: { deletedAt: NOW } }));
    expect(await listOrganizations(tenant.owner.userId)).toEqual([]);
    await expect(getOrganizationBySlug(tenant.slug, tenant.owner)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });
});
