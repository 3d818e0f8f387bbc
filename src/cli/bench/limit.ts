// The least that a durable take can be: one prepared statement through node-pg, one row updated, one inserted, one commit.
// No lots, no key, no tenant: what ours is compared with, in tables of its own.
import type pg from "pg";
import { organizationId } from "./ledger-rows";

const TAKE = `
  WITH taken AS (
    UPDATE limit_accounts SET balance = balance - 1 WHERE organization_id = $1 AND balance >= 1 RETURNING organization_id, balance
  )
  INSERT INTO limit_ledger (organization_id, amount, balance_after) SELECT organization_id, -1, balance FROM taken`;

/** Makes and fills the tables: as many organizations as a population has, and their ids. */
export async function seedLimit(client: pg.ClientBase, set: string, organizations: number): Promise<void> {
  await client.query(`
    CREATE TABLE IF NOT EXISTS limit_accounts (
      organization_id uuid PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)
    ) WITH (fillfactor = 50);
    CREATE TABLE IF NOT EXISTS limit_ledger (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, organization_id uuid NOT NULL, amount bigint NOT NULL,
      balance_after bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
    );
    GRANT SELECT, INSERT, UPDATE ON limit_accounts, limit_ledger TO billfold`);
  const ids = Array.from({ length: organizations }, (_, index) => organizationId(set, index + 1));
  await client.query("INSERT INTO limit_accounts SELECT id, 1000000000000 FROM unnest($1::uuid[]) AS id", [ids]);
  await client.query("VACUUM (ANALYZE) limit_accounts");
}

/** Takes one credit. @throws Error where nothing was taken */
export async function takeAtLimit(pool: pg.Pool, organization: string): Promise<void> {
  const { rowCount } = await pool.query({ name: "take", text: TAKE, values: [organization] });
  if (rowCount !== 1) throw new Error("the limit took nothing");
}
