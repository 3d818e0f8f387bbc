// Organizations: made with what they need, found by whom they concern, and named apart.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createOrganization, getOrganizationBySlug, listOrganizations } from "~/server/billing/organizations";
import { slugFromName } from "~/server/billing/slugs";
import { asPlatform } from "~/server/db";
import { callerFor, serviceOf } from "../setup/callers";
import { codeOf, createMember, createPerson, createTenant, NOW, openApp, rolesIn } from "../setup/tenancy";

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
    for (const slug of [tenant.slug, "no-such-slug", "no\0slug", "\uD800"]) {
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

describe("the procedures", () => {
  it("make a person the owner of what they create, and let a platform key create for nobody yet", async () => {
    const person = await createPerson();
    const mine = await callerFor(person).organizations.create({ name: "  Mine  " });
    expect(mine).toEqual({ id: expect.any(String), slug: "mine" });
    expect(await rolesIn(mine.id)).toEqual({ [person.userId]: "owner" });
    const provisioned = await callerFor(serviceOf(null)).organizations.create({ name: "Provisioned" });
    expect(await rolesIn(provisioned.id)).toEqual({});
  });

  it("create nothing for an organization's own key, or for nobody", async () => {
    const tenant = await createTenant();
    const create = (actor: Parameters<typeof callerFor>[0]) =>
      callerFor(actor).organizations.create({ name: "Another" }).catch(codeOf);
    expect(await create(serviceOf(tenant.id))).toBe("FORBIDDEN");
    expect(await create(null)).toBe("UNAUTHENTICATED");
  });

  it("tell each caller what the organization is and what they may do there", async () => {
    const tenant = await createTenant("Facts");
    const read = (actor: Parameters<typeof callerFor>[0]) =>
      callerFor(actor).organizations.get({ organizationId: tenant.id }).catch(codeOf);
    expect(await read(await createMember(tenant.id, "member"))).toEqual({
      id: tenant.id,
      name: "Facts",
      slug: tenant.slug,
      burnOrder: "purchased_first",
      trialAvailable: true,
      role: "member",
      capabilities: ["billing:view", "credits:consume", "credits:release", "members:view"],
    });
    expect(await read(serviceOf(tenant.id))).toMatchObject({ role: "service" });
    expect(await read(serviceOf(null))).toMatchObject({ role: "platform" });
    expect(await read(await createPerson({ isPlatformAdmin: true }))).toMatchObject({ role: "platform" });
    expect(await read(await createPerson())).toBe("NOT_FOUND");
    expect(await read(serviceOf((await createTenant()).id))).toBe("FORBIDDEN");
  });

  it("change the name for who manages members, the burn order for who manages credits, and all or nothing", async () => {
    const tenant = await createTenant("Before");
    const update = async (role: "admin" | "billing" | "member" | "service", change: object) => {
      const actor = role === "service" ? serviceOf(tenant.id) : await createMember(tenant.id, role);
      return callerFor(actor)
        .organizations.update({ organizationId: tenant.id, ...change })
        .catch(codeOf);
    };
    expect(await update("billing", { name: "After", burnOrder: "expiring_first" })).toBe("FORBIDDEN");
    expect(await update("billing", { burnOrder: "expiring_first" })).toMatchObject({
      name: "Before",
      burnOrder: "expiring_first",
    });
    expect(await update("member", { name: "After" })).toBe("FORBIDDEN");
    expect(await update("service", { name: "After" })).toBe("FORBIDDEN");
    expect(await update("admin", { name: "After" })).toMatchObject({ name: "After", slug: tenant.slug });
    const stranger = callerFor(await createPerson()).organizations;
    expect(await stranger.update({ organizationId: tenant.id, name: "Mine" }).catch(codeOf)).toBe("NOT_FOUND");
  });

  it.each(["", "   ", "x".repeat(81), "a\u0000b", "a\nb", "\u202Eevil", "\u200B", "\uD800"])(
    "take no name that cannot be shown (%#)",
    async (name) => {
      const person = await createPerson();
      await expect(callerFor(person).organizations.create({ name })).rejects.toMatchObject({ code: "BAD_REQUEST" });
    },
  );

  it("take names in every script, and families of emoji", async () => {
    const { organizations } = callerFor(await createPerson());
    for (const name of ["株式会社", "شركة", "👩‍👩‍👧 & Co.", "!"]) await organizations.create({ name });
    expect((await organizations.list()).map(({ name }) => name).sort()).toEqual(
      ["株式会社", "شركة", "👩‍👩‍👧 & Co.", "!"].sort(),
    );
  });
});
