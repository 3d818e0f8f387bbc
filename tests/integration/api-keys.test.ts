// API keys: what a service proves itself with, from its making to the call after its end.
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { actorFromHeaders } from "~/server/auth/session";
import { authenticateApiKey, createApiKey, listApiKeys, revokeApiKey } from "~/server/billing/api-keys";
import { asPlatform } from "~/server/db";
import { callerFor, serviceOf } from "../setup/callers";
import { codeOf, createMember, createTenant, minutesLater, NOW, openApp, outcomes } from "../setup/tenancy";

let app: Awaited<ReturnType<typeof openApp>>;
beforeAll(async () => {
  app = await openApp();
});
afterAll(() => app.close());

const bearer = (key: string) => new Headers({ authorization: `Bearer ${key}` });

async function tenantWithKey() {
  const tenant = await createTenant();
  const key = await createApiKey({ organizationId: tenant.id, name: "production", createdById: null, now: NOW });
  return { tenant, key };
}

async function storedKey(id: string) {
  return asPlatform((tx) => tx.apiKey.findUniqueOrThrow({ where: { id } }));
}

describe("an API key", () => {
  it("stands for its organization, or a platform key for none in particular", async () => {
    const { tenant, key } = await tenantWithKey();
    expect(key.key).toMatch(/^bf_live_[0-9A-Za-z]{32}$/);
    expect(await actorFromHeaders(bearer(key.key), NOW)).toEqual({
      kind: "service",
      apiKeyId: key.id,
      keyName: "production",
      organizationId: tenant.id,
      isUnverified: false,
    });
    const platform = await createApiKey({ organizationId: null, name: "platform", createdById: null, now: NOW });
    expect(platform.key).toMatch(/^bf_platform_[0-9A-Za-z]{32}$/);
    expect(await actorFromHeaders(bearer(platform.key), NOW)).toMatchObject({ organizationId: null });
  });

  it("is nowhere in the database; its hint tells it apart", async () => {
    const { key } = await tenantWithKey();
    const row = await storedKey(key.id);
    expect(JSON.stringify(row)).not.toContain(key.key.slice(8, -4));
    expect(row.hint).toBe(`bf_live_…${key.key.slice(-4)}`);
  });

  it("is refused from the call after its revocation on, and revoking again keeps the first time", async () => {
    const { tenant, key } = await tenantWithKey();
    await authenticateApiKey(key.key, NOW);
    const revoke = (now: Date) => revokeApiKey({ organizationId: tenant.id, apiKeyId: key.id, now });
    await revoke(minutesLater(1));
    await expect(actorFromHeaders(bearer(key.key), minutesLater(1))).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    expect(await revoke(minutesLater(9))).toEqual({ id: key.id, revokedAt: minutesLater(1) });
  });

  it("of a deleted organization is refused", async () => {
    const { tenant, key } = await tenantWithKey();
    await asPlatform((tx) => tx.organization.update({ where: { id: tenant.id }, data: { deletedAt: NOW } }));
    await expect(authenticateApiKey(key.key, NOW)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it.each([
    "",
    "   ",
    "sk_live_x",
    "bf_live_short",
    `bf_live_${"a".repeat(33)}`,
    `bf_live_${"a".repeat(32)}`,
    "a".repeat(100_000),
    "' OR 1=1 --",
  ])("that is wrong is refused rather than taken for nobody (%#)", async (key) => {
    await expect(authenticateApiKey(key, NOW)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    await expect(actorFromHeaders(bearer(key), NOW)).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });

  it("is read whatever the case of the scheme, and another scheme is none of ours", async () => {
    const { key } = await tenantWithKey();
    expect(await actorFromHeaders(new Headers({ authorization: `bearer  ${key.key} ` }), NOW)).not.toBeNull();
    expect(await actorFromHeaders(new Headers({ authorization: "Basic Zm9vOmJhcg==" }), NOW)).toBeNull();
    expect(await actorFromHeaders(new Headers(), NOW)).toBeNull();
  });

  it("remembers its last use to the minute, and callers at once do not wait for one another", async () => {
    const { key } = await tenantWithKey();
    expect((await storedKey(key.id)).lastUsedAt).toBeNull();
    const calls = await Promise.allSettled(Array.from({ length: 30 }, () => authenticateApiKey(key.key, NOW)));
    expect(outcomes(calls)).toEqual({ ok: 30 });
    expect((await storedKey(key.id)).lastUsedAt).toEqual(NOW);
    await authenticateApiKey(key.key, minutesLater(0.9));
    expect((await storedKey(key.id)).lastUsedAt).toEqual(NOW);
    await authenticateApiKey(key.key, minutesLater(1));
    expect((await storedKey(key.id)).lastUsedAt).toEqual(minutesLater(1));
  });

  it("answers while another transaction holds its row", async () => {
    const { key } = await tenantWithKey();
    const other = new pg.Client({ connectionString: app.database.superuserUrl });
    await other.connect();
    onTestFinished(() => other.end());
    await other.query("BEGIN");
    await other.query("SELECT 1 FROM api_keys WHERE id = $1 FOR UPDATE", [key.id]);
    expect(await authenticateApiKey(key.key, NOW)).toMatchObject({ id: key.id });
  });
});

describe("the list of keys", () => {
  it("shows those in use first, and never another organization's or the platform's", async () => {
    const { tenant, key } = await tenantWithKey();
    await tenantWithKey();
    const newer = await createApiKey({
      organizationId: tenant.id,
      name: "staging",
      createdById: null,
      now: minutesLater(1),
    });
    await revokeApiKey({ organizationId: tenant.id, apiKeyId: newer.id, now: minutesLater(2) });
    const listed = await listApiKeys(tenant.id);
    expect(listed.map(({ id, revokedAt }) => [id, revokedAt])).toEqual([
      [key.id, null],
      [newer.id, minutesLater(2)],
    ]);
    expect(Object.keys(listed[0] ?? {})).not.toContain("keyHash");
  });

  it("holds no more than a hundred keys in use", async () => {
    const { tenant } = await tenantWithKey();
    await asPlatform((tx) =>
      tx.apiKey.createMany({
        data: Array.from({ length: 99 }, (_, index) => ({
          organizationId: tenant.id,
          name: `key ${index}`,
          keyHash: `${tenant.id}-${index}`,
          hint: "…",
          createdAt: NOW,
        })),
      }),
    );
    const another = createApiKey({ organizationId: tenant.id, name: "one more", createdById: null, now: NOW });
    expect(await another.catch(codeOf)).toBe("INVALID_INPUT");
  });
});

describe("the procedures", () => {
  it("show the key once, say who made it, and end it", async () => {
    const { id: organizationId, owner } = await createTenant();
    const { apiKeys } = callerFor(owner);
    const created = await apiKeys.create({ organizationId, name: " production " });
    expect(created).toEqual({ id: created.id, name: "production", key: created.key, hint: created.hint });
    const listed = await apiKeys.list({ organizationId });
    expect(listed).toMatchObject([{ id: created.id, name: "production", createdBy: owner.name, lastUsedAt: null }]);
    expect(JSON.stringify(listed)).not.toContain(created.key);
    expect(await authenticateApiKey(created.key, NOW)).toMatchObject({ organizationId });
    await apiKeys.revoke({ organizationId, apiKeyId: created.id });
    expect(await authenticateApiKey(created.key, NOW).catch(codeOf)).toBe("UNAUTHENTICATED");
  });

  it("are for owners, admins and the platform; a key cannot make another key", async () => {
    const { id: organizationId } = await createTenant();
    const create = (actor: Parameters<typeof callerFor>[0]) =>
      callerFor(actor).apiKeys.create({ organizationId, name: "key" }).catch(codeOf);
    expect(await create(serviceOf(organizationId))).toBe("FORBIDDEN");
    expect(await create(await createMember(organizationId, "member"))).toBe("FORBIDDEN");
    expect(await create(await createMember(organizationId, "billing"))).toBe("FORBIDDEN");
    expect(await create(await createMember(organizationId, "admin"))).toMatchObject({ name: "key" });
    expect(await create(serviceOf(null))).toMatchObject({ name: "key" });
  });

  it("keep another organization's keys out of reach, whichever ids are mixed", async () => {
    const { tenant, key } = await tenantWithKey();
    const { id: ownId, owner } = await createTenant();
    const { apiKeys } = callerFor(owner);
    expect(await apiKeys.list({ organizationId: tenant.id }).catch(codeOf)).toBe("NOT_FOUND");
    expect(await apiKeys.revoke({ organizationId: tenant.id, apiKeyId: key.id }).catch(codeOf)).toBe("NOT_FOUND");
    expect(await apiKeys.revoke({ organizationId: ownId, apiKeyId: key.id }).catch(codeOf)).toBe("NOT_FOUND");
    expect(await authenticateApiKey(key.key, NOW)).toMatchObject({ id: key.id });
  });

  it("never touch a platform key through an organization", async () => {
    const { id: organizationId, owner } = await createTenant();
    const platform = await createApiKey({ organizationId: null, name: "platform", createdById: null, now: NOW });
    const revoke = callerFor(owner).apiKeys.revoke({ organizationId, apiKeyId: platform.id });
    expect(await revoke.catch(codeOf)).toBe("NOT_FOUND");
    expect(await authenticateApiKey(platform.key, NOW)).toMatchObject({ organizationId: null });
  });
});
