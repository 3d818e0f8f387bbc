// A database of its own for each test file: a copy of the migrated template, made in a fraction of a second.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { TEMPLATE_DATABASE } from "~/cli/test-postgres";

/** PostgreSQL's answer when someone else is copying the template at this moment. */
const OBJECT_IN_USE = "55006";

export type TestDatabase = {
  name: string;
  /** Connects as role `billfold`, the owner: what DATABASE_URL is in production. */
  url: string;
  ownerUrl: string;
  superuserUrl: string;
  drop(): Promise<void>;
};

/** Copies the template, or with `empty` makes a database without any table. */
export async function createTestDatabase({ empty = false } = {}): Promise<TestDatabase> {
  const admin = requiredEnv("BILLFOLD_TEST_PG_URL");
  const superuser = requiredEnv("BILLFOLD_TEST_PG_SUPERUSER_URL");
  const name = `test_${randomBytes(6).toString("hex")}`;
  await createDatabase(admin, `CREATE DATABASE ${name}${empty ? "" : ` TEMPLATE ${TEMPLATE_DATABASE}`}`);
  const url = withDatabase(admin, name);
  return {
    name,
    url,
    ownerUrl: url,
    superuserUrl: withDatabase(superuser, name),
    // By the superuser: the owner may not end other roles' connections.
    drop: () => execute(superuser, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

async function createDatabase(admin: string, sql: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await execute(admin, sql);
    } catch (error) {
      if ((error as { code?: string }).code !== OBJECT_IN_USE || attempt === 50) throw error;
      await sleep(50 + Math.random() * 100);
    }
  }
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function withDatabase(url: string, name: string): string {
  const changed = new URL(url);
  changed.pathname = `/${name}`;
  return changed.href;
}

function requiredEnv(name: string): string {
  const value = process.env[name];
  if (!value)
    throw new Error(`${name} is not set: run this through \`npm test\` or \`npx vitest --project integration\`.`);
  return value;
}
