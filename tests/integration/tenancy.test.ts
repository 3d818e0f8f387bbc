// A tenant sees its own rows: for every table that has tenants, as the database itself enforces it.
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { raiseAlert } from "~/server/billing/alerts";
import { createApiKey } from "~/server/billing/api-keys";
import { inviteMember } from "~/server/billing/invitations";
import { rollUpUsage } from "~/server/billing/usage-rollups";
import { asOrganization, asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import { addLot, type Billing, callAs, openBilling, quietLogs } from "../setup/billing";
import { createMember, createTenant, NOW } from "../setup/tenancy";

let billing: Billing;
let a: Awaited<ReturnType<typeof createTenant>>;
let b: Awaited<ReturnType<typeof createTenant>>;
let client: pg.Client;
beforeAll(async () => {
  quietLogs();
  billing = await openBilling();
  [a, b] = [await liveTenant("Alpha"), await liveTenant("Beta")];
  // Rows of the platform itself, which belong to no tenant and are none's to see.
  await createApiKey({ organizationId: null, name: "platform", createdById: null, now: NOW });
  await asPlatform((tx) =>
    raiseAlert(tx, { organizationId: null, kind: "unknown_customer", subject: "cus_x", message: "x" }, NOW),
  );
  client = new pg.Client({ connectionString: billing.database.ownerUrl });
  await client.connect();
});
afterAll(async () => {
  await client.end();
  await billing.close();
});

/** An organization that has used everything. */
async function liveTenant(name: string) {
  const tenant = await createTenant(name);
  const { id } = tenant;
  await createMember(id, "member");
  await inviteMember({
    organizationId: id,
    email: "guest@example.com",
    role: "member",
    invitedBy: { userId: tenant.owner.userId, name: "Owner" },
    actingRole: "owner",
    now: NOW,
  });
  await createApiKey({ organizationId: id, name: "production", createdById: tenant.owner.userId, now: NOW });
  const plan = (await callAs(null).plans.list()).find(({ key }) => key === "pro");
  const [event] = await callAs(null).creditEvents.list();
  const { url } = await callAs(tenant.owner).subscription.checkout({
    organizationId: id,
    planId: plan?.id ?? "",
    interval: "month",
  });
  await billing.pay(url);
  await billing.settle();
  await callAs(tenant.owner).budgets.create({
    organizationId: id,
    scope: "member",
    subject: tenant.owner.userId,
    window: "day",
    limit: 1000,
  });
  await addLot({ organizationId: id, amount: 3, source: "promotion" });
  // From two lots, so that there are entries.
  await callAs(tenant.owner).credits.consume({
    organizationId: id,
    eventName: "api_call_basic",
    quantity: 5,
    idempotencyKey: "first",
  });
  await callAs(tenant.owner).gifts.create({ organizationId: id, amount: 5, idempotencyKey: "gift" });
  await rollUpUsage(id);
  await asPlatform(async (tx) => {
    await tx.creditEventOverride.create({
      data: { organizationId: id, eventId: event?.id ?? "", cost: 3n, createdAt: NOW },
    });
    await raiseAlert(tx, { organizationId: id, kind: "payment_failed", subject: "sub_x", message: "x" }, NOW);
    await tx.billingNotice.create({
      data: { organizationId: id, kind: "payment_failed", subject: "sub_x", createdAt: NOW },
    });
    const returned = { stripeInvoiceId: "in_x", stripeItemId: "si_x", stripeSubscriptionId: "sub_x", credits: 1n };
    await tx.allowanceReturn.create({
      data: { organizationId: id, ...returned, fromAt: NOW, untilAt: new Date(NOW.getTime() + 1), createdAt: NOW },
    });
    const run = { status: "done" as const, cause: "tests", cursor: {}, startedAt: NOW };
    const { id: reconciliationId } = await tx.reconciliation.create({ data: run });
    const finding = { kind: "drift", subject: "sub_x", message: "x", repaired: true, at: NOW };
    await tx.reconciliationFinding.create({ data: { reconciliationId, organizationId: id, ...finding } });
    await tx.syncLock.create({ data: { organizationId: id, holder: newId(NOW), expiresAt: NOW } });
    const bulk = { fileHash: id, name: "thanks.csv", reason: "Thanks", rows: 1, createdBy: "tests", createdAt: NOW };
    const { id: bulkId } = await tx.bulkGrant.create({ data: { ...bulk, status: "running" } });
    await tx.bulkGrantRow.create({
      data: { bulkId, line: 1, organizationId: id, amount: 1n, source: "promotion", status: "pending" },
    });
  });
  return tenant;
}

interface Table {
  name: string;
  /** The column that says whose a row is. */
  column: string;
}

/** Tables or views with tenants, as the database knows them: one that is added later is tested without a change here. */
async function withTenants(kind: "BASE TABLE" | "VIEW"): Promise<Table[]> {
  const rows = await billing.sql<{ name: string }>(
    `SELECT c.table_name AS name FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE c.table_schema = 'public' AND c.column_name = 'organization_id' AND t.table_type = $1 ORDER BY 1`,
    [kind],
  );
  return rows.map(({ name }) => ({ name, column: "organization_id" }));
}

async function tenantTables(): Promise<Table[]> {
  return [...(await withTenants("BASE TABLE")), { name: "organizations", column: "id" }];
}

async function tenantTablesAndViews(): Promise<Table[]> {
  return [...(await tenantTables()), ...(await withTenants("VIEW"))];
}

const NOT_ALLOWED = "42501";

/** Runs a statement as the application for a tenant (or with nothing set), and takes it back. */
async function asApp(
  organizationId: string | null,
  text: string,
  values: unknown[] = [],
): Promise<{ rows: Record<string, unknown>[]; count: number; refused: string | null }> {
  await client.query("BEGIN");
  try {
    await client.query("SET LOCAL ROLE billfold_app");
    if (organizationId !== null) {
      await client.query("SELECT set_config('app.organization_id', $1, true)", [organizationId]);
    }
    const result = await client.query(text, values);
    return { rows: result.rows, count: result.rowCount ?? 0, refused: null };
  } catch (error) {
    return { rows: [], count: 0, refused: (error as { code?: string }).code ?? String(error) };
  } finally {
    await client.query("ROLLBACK");
  }
}

async function countAll({ name, column }: Table, organizationId: string): Promise<number> {
  const [row] = await billing.sql<{ count: number }>(
    `SELECT count(*)::int AS count FROM "${name}" WHERE ${column} = $1`,
    [organizationId],
  );
  return row?.count ?? -1;
}

async function updatableColumn(name: string): Promise<string | null> {
  const [row] = await billing.sql<{ column: string }>(
    `SELECT column_name AS column FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name = $1 AND has_column_privilege('billfold_app', $1::regclass, column_name, 'UPDATE')
     ORDER BY ordinal_position DESC LIMIT 1`,
    [name],
  );
  return row?.column ?? null;
}

describe("every table with tenants", () => {
  it("has rows of both organizations, so that what follows is about something", async () => {
    const tables = await tenantTablesAndViews();
    expect(tables.length).toBeGreaterThanOrEqual(18);
    expect((await withTenants("VIEW")).map(({ name }) => name)).toEqual(["credit_movements"]);
    for (const table of tables) {
      expect(await countAll(table, a.id), `${table.name} of A`).toBeGreaterThan(0);
      expect(await countAll(table, b.id), `${table.name} of B`).toBeGreaterThan(0);
    }
  });

  it("has row-level security, enabled and forced, for exactly the two roles", async () => {
    for (const { name } of [...(await tenantTables()), { name: "users" }]) {
      const [row] = await billing.sql(
        "SELECT relrowsecurity AS on, relforcerowsecurity AS forced FROM pg_class WHERE oid = $1::regclass",
        [name],
      );
      expect(row, name).toEqual({ on: true, forced: true });
      const policies = await billing.sql<{ roles: string }>(
        "SELECT array_to_string(roles, ',') AS roles FROM pg_policies WHERE schemaname = 'public' AND tablename = $1 ORDER BY 1",
        [name],
      );
      expect(
        policies.map(({ roles }) => roles),
        name,
      ).toEqual(["billfold_app", "billfold_platform"]);
    }
  });

  it("shows a tenant all of its own rows and none of another's, with or without a where", async () => {
    for (const table of await tenantTablesAndViews()) {
      const { name, column } = table;
      const all = await asApp(a.id, `SELECT ${column}::text AS owner FROM "${name}"`);
      expect(all.refused, name).toBeNull();
      expect(new Set(all.rows.map(({ owner }) => owner)), name).toEqual(new Set([a.id]));
      expect(all.count, name).toBe(await countAll(table, a.id));
      expect((await asApp(a.id, `SELECT 1 FROM "${name}" WHERE ${column} = $1`, [b.id])).count, name).toBe(0);
      expect((await asApp(a.id, `SELECT 1 FROM "${name}" WHERE ${column} IS DISTINCT FROM $1`, [a.id])).count).toBe(0);
    }
  });

  it("shows nothing where no tenant is set, or an empty one", async () => {
    for (const { name } of [...(await tenantTablesAndViews()), { name: "users" }]) {
      for (const unset of [null, ""]) {
        const { count, refused } = await asApp(unset, `SELECT 1 FROM "${name}"`);
        expect({ count, refused }, name).toEqual({ count: 0, refused: null });
      }
    }
  });

  it("lets a tenant change none of another's rows", async () => {
    for (const table of await tenantTables()) {
      const { name, column } = table;
      const own = await countAll(table, a.id);
      const changeable = await updatableColumn(name);
      const field = changeable ?? column;
      const theirs = await asApp(a.id, `UPDATE "${name}" SET ${field} = ${field} WHERE ${column} = $1`, [b.id]);
      expect(theirs.count, name).toBe(0);
      expect(theirs.refused, name).toBe(changeable === null ? NOT_ALLOWED : null);
      const everything = await asApp(a.id, `UPDATE "${name}" SET ${field} = ${field}`);
      expect(everything.count, name).toBe(changeable === null ? 0 : own);

      const deleted = await asApp(a.id, `DELETE FROM "${name}" WHERE ${column} = $1`, [b.id]);
      expect(deleted.count, name).toBe(0);
      expect([null, NOT_ALLOWED], name).toContain(deleted.refused);
      const allDeleted = await asApp(a.id, `DELETE FROM "${name}"`);
      expect(allDeleted.count, name).toBeLessThanOrEqual(own);
      expect((await asApp(a.id, `TRUNCATE "${name}" CASCADE`)).refused, name).toBe(NOT_ALLOWED);
    }
  });

  it("takes no row for another tenant, neither new nor moved there", async () => {
    const writable: string[] = [];
    for (const { name, column } of await tenantTables()) {
      const [row] = await billing.sql<{ row: Record<string, unknown> }>(
        `SELECT to_jsonb(t) AS row FROM "${name}" t WHERE ${column} = $1 LIMIT 1`,
        [b.id],
      );
      const insert = `INSERT INTO "${name}" SELECT * FROM jsonb_populate_record(NULL::"${name}", $1::jsonb)`;
      const fresh = {
        ...row?.row,
        ...(column === "organization_id" && "id" in (row?.row ?? {}) ? { id: newId(NOW) } : {}),
      };
      expect((await asApp(a.id, insert, [JSON.stringify(fresh)])).refused, `${name}: B's row by A`).toBe(NOT_ALLOWED);
      expect((await asApp(null, insert, [JSON.stringify(fresh)])).refused, `${name}: B's row by nobody`).toBe(
        NOT_ALLOWED,
      );
      // The same row as its own is stopped by nothing but its keys, where the application may write at all.
      const [privilege] = await billing.sql<{ may: boolean }>(
        "SELECT has_table_privilege('billfold_app', $1::regclass, 'INSERT') AS may",
        [name],
      );
      if (privilege?.may) {
        writable.push(name);
        const own = await asApp(b.id, insert, [JSON.stringify(fresh)]);
        expect([null, "23505"], `${name}: B's row by B`).toContain(own.refused);
      }
      const moved = await asApp(a.id, `UPDATE "${name}" SET ${column} = $1`, [b.id]);
      expect(moved.refused, `${name}: moved to B`).toBe(NOT_ALLOWED);
    }
    expect(writable).toEqual([
      "api_keys",
      "checkout_sessions",
      "credit_entries",
      "credit_transactions",
      "invitations",
      "memberships",
    ]);
  });
});

describe("people", () => {
  it("are seen by the organizations that they belong to, and by no other", async () => {
    const both = await createMember(a.id, "admin");
    await asPlatform((tx) =>
      tx.membership.create({ data: { organizationId: b.id, userId: both.userId, role: "member", createdAt: NOW } }),
    );
    const seen = async (organizationId: string) =>
      (await asApp(organizationId, "SELECT id::text FROM users")).rows.map(({ id }) => id);
    expect(await seen(a.id)).toContain(a.owner.userId);
    expect(await seen(a.id)).not.toContain(b.owner.userId);
    expect(await seen(a.id)).toContain(both.userId);
    expect(await seen(b.id)).toContain(both.userId);
    for (const statement of [
      "UPDATE users SET name = 'x'",
      "DELETE FROM users",
      "INSERT INTO users (id, email) VALUES (gen_random_uuid(), 'x@example.com')",
    ]) {
      expect((await asApp(a.id, statement)).refused, statement).toBe(NOT_ALLOWED);
    }
  });

  it("have credentials that the application's role cannot even read", async () => {
    for (const name of ["auth_accounts", "auth_sessions", "auth_verification_tokens"]) {
      expect((await asApp(a.id, `SELECT 1 FROM ${name}`)).refused, name).toBe(NOT_ALLOWED);
    }
  });
});

describe("the catalogue", () => {
  it("is everybody's to read and no tenant's to write", async () => {
    for (const name of [
      "subscription_plans",
      "plan_prices",
      "credit_events",
      "credit_products",
      "credit_product_prices",
    ]) {
      expect((await asApp(a.id, `SELECT 1 FROM ${name}`)).count, name).toBeGreaterThan(0);
      expect((await asApp(a.id, `UPDATE ${name} SET active = active`)).refused, name).toBe(NOT_ALLOWED);
      expect((await asApp(a.id, `DELETE FROM ${name}`)).refused, name).toBe(NOT_ALLOWED);
    }
    for (const name of ["subscription_plan_versions", "credit_product_versions"]) {
      expect((await asApp(a.id, `SELECT 1 FROM ${name}`)).refused, name).toBeNull();
      expect((await asApp(a.id, `UPDATE ${name} SET credits = credits`)).refused, name).toBe(NOT_ALLOWED);
      expect((await asApp(a.id, `DELETE FROM ${name}`)).refused, name).toBe(NOT_ALLOWED);
    }
  });

  it("a tenant cannot give itself credits, a customer or a trial", async () => {
    for (const statement of [
      "UPDATE organizations SET stripe_customer_id = 'cus_x'",
      "UPDATE organizations SET trial_used_at = NULL",
      "UPDATE credit_grants SET amount = amount + 1",
      "UPDATE api_keys SET organization_id = NULL",
      "UPDATE organization_subscriptions SET status = 'active'",
    ]) {
      expect((await asApp(a.id, statement)).refused, statement).toBe(NOT_ALLOWED);
    }
  });
});

describe("the two roles", () => {
  it("own nothing, cannot log in, and stand below row-level security", async () => {
    const roles = await billing.sql(
      `SELECT rolname AS name, rolsuper AS super, rolbypassrls AS bypass, rolcanlogin AS login, rolcreaterole AS roles, rolcreatedb AS databases
       FROM pg_roles WHERE rolname IN ('billfold_app', 'billfold_platform', 'billfold') ORDER BY 1`,
    );
    const bound = { super: false, bypass: false, login: false, roles: false, databases: false };
    expect(roles).toMatchObject([
      { name: "billfold", super: false, bypass: false },
      { name: "billfold_app", ...bound },
      { name: "billfold_platform", ...bound },
    ]);
    for (const catalogue of ["pg_class WHERE relowner", "pg_proc WHERE proowner", "pg_namespace WHERE nspowner"]) {
      const owned = await billing.sql(
        `SELECT 1 FROM ${catalogue} IN (SELECT oid FROM pg_roles WHERE rolname IN ('billfold_app', 'billfold_platform'))`,
      );
      expect(owned, catalogue).toEqual([]);
    }
    const memberships = await billing.sql(
      `SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles u ON u.oid = m.member
       WHERE u.rolname IN ('billfold_app', 'billfold_platform')`,
    );
    expect(memberships, "of no other role").toEqual([]);
  });
});

describe("the doors", () => {
  it("forgive a forgotten where", async () => {
    const seen = await asOrganization(a.id, async (tx) => ({
      transactions: await tx.creditTransaction.findMany(),
      grants: await tx.creditGrant.findMany(),
      organizations: await tx.organization.findMany(),
      keys: await tx.apiKey.findMany(),
      alerts: await tx.billingAlert.findMany(),
    }));
    for (const row of [...seen.transactions, ...seen.grants, ...seen.keys, ...seen.alerts]) {
      expect(row.organizationId).toBe(a.id);
    }
    expect(seen.organizations.map(({ id }) => id)).toEqual([a.id]);
    expect(seen.transactions.length).toBeGreaterThan(0);
    expect(seen.keys.length).toBeGreaterThan(0);
    expect(seen.alerts.length).toBeGreaterThan(0);
  });

  it("do not leak from one transaction into the next of the same connection", async () => {
    const results = await Promise.all(
      Array.from({ length: 60 }, (_, index) => {
        const tenant = index % 2 === 0 ? a : b;
        const work = asOrganization(tenant.id, (tx) => tx.organization.findMany({ select: { id: true } }));
        return work.then((rows) => rows.length === 1 && rows[0]?.id === tenant.id);
      }),
    );
    expect(results).toEqual(Array(60).fill(true));
  });

  it("stay shut for what is no organization", async () => {
    await expect(asOrganization("not a uuid", (tx) => tx.organization.findMany())).rejects.toThrow();
    expect(await asOrganization(newId(NOW), (tx) => tx.organization.findMany())).toEqual([]);
  });
});
