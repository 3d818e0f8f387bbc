// People, organizations and callers for tests of the API, in a database of the test file's own.

import type { ActingRole, OrganizationRole } from "~/domain/capabilities";
import type { Person } from "~/server/auth/actor";
import { createOrganization } from "~/server/billing/organizations";
import { asPlatform, disconnect } from "~/server/db";
import { newId } from "~/server/db/keys";
import { createTestDatabase, type TestDatabase } from "./database";

/** Long before today, so that nothing passes by the wall clock's grace. */
export const NOW = new Date("2026-03-10T09:30:00.000Z");

export function minutesLater(minutes: number, from: Date = NOW): Date {
  return new Date(from.getTime() + minutes * 60_000);
}

/** A database, and the environment that leads the app to it. Call it in `beforeAll`, before anything reads the environment. */
export async function openApp(
  extra: Record<string, string> = {},
): Promise<{ database: TestDatabase; close(): Promise<void> }> {
  const database = await createTestDatabase();
  Object.assign(process.env, {
    DATABASE_URL: database.url,
    STRIPE_SECRET_KEY: "sk_test_nothing",
    NEXTAUTH_URL: "http://localhost:3000",
    NEXTAUTH_SECRET: "a secret that is long enough for tests",
    PLATFORM_ADMINS: "",
    ...extra,
  });
  return {
    database,
    async close() {
      await disconnect();
      await database.drop();
    },
  };
}

let people = 0;

/** Somebody who can sign in. */
export async function createPerson(
  change: { email?: string; name?: string; isPlatformAdmin?: boolean } = {},
): Promise<Person> {
  const email = change.email ?? `person-${++people}@example.com`;
  const { name = email.split("@")[0] ?? email, isPlatformAdmin = false } = change;
  const id = newId(NOW);
  await asPlatform((tx) => tx.user.create({ data: { id, email, name, isPlatformAdmin, emailVerified: NOW } }));
  return { kind: "person", userId: id, email, name, isPlatformAdmin };
}

/** An organization with its owner. */
export async function createTenant(name = "Northwind"): Promise<{ id: string; slug: string; owner: Person }> {
  const owner = await createPerson();
  return { ...(await createOrganization({ name, owner: owner.userId, now: NOW })), owner };
}

/** Somebody new who already has a role in an organization. */
export async function createMember(organizationId: string, role: OrganizationRole): Promise<Person> {
  const person = await createPerson();
  await asPlatform((tx) =>
    tx.membership.create({ data: { organizationId, userId: person.userId, role, createdAt: NOW } }),
  );
  return person;
}

/** The roles of an organization's members, by person. */
export async function rolesIn(organizationId: string): Promise<Record<string, ActingRole>> {
  const rows = await asPlatform((tx) => tx.membership.findMany({ where: { organizationId } }));
  return Object.fromEntries(rows.map((row) => [row.userId, row.role]));
}

/** What became of calls that ran at once: how many succeeded, and the codes of those that did not. */
export function outcomes(results: PromiseSettledResult<unknown>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const result of results) {
    const name = result.status === "fulfilled" ? "ok" : codeOf(result.reason);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** The billing code of a failure, whether it comes from a use-case or through tRPC. */
export function codeOf(error: unknown): string {
  const billing = error as { code?: string; cause?: { code?: string } };
  return billing.cause?.code ?? billing.code ?? String(error);
}
