// `npm run ledger:verify`: checks every ledger from its first row, and prints a line for whatever is not as it should be.
// Needs DATABASE_URL and nothing else, so that it can be run by somebody who has no other secret of the app.
//   -- --organization <id>   only this one
//   -- --heads heads.json    writes where each chain ends, to be kept where this database's owner cannot change it
//   -- --against heads.json  each chain must still lead through where it was then
import "./load-env";
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import pg from "pg";
import type { Head } from "~/server/billing/ledger/replay";
import { findingLine, verifyLedger } from "~/server/billing/ledger/verify";

interface Arguments {
  organization?: string | undefined;
  heads?: string | undefined;
  against?: string | undefined;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const PROGRESS_MS = 5000;

function readArguments(): Arguments {
  try {
    const options = {
      organization: { type: "string" },
      heads: { type: "string" },
      against: { type: "string" },
    } as const;
    const { values } = parseArgs({ options });
    const organization = values.organization?.toLowerCase();
    if (organization !== undefined && !UUID.test(organization))
      throw new Error("--organization takes an organization's id.");
    return { ...values, organization };
  } catch (error) {
    console.error(
      `${(error as Error).message}\nnpm run ledger:verify [-- --organization <id>] [--heads file] [--against file]`,
    );
    process.exit(2);
  }
}

function readHeads(file: string | undefined): Map<string, Head> | undefined {
  if (file === undefined) return undefined;
  try {
    return new Map(Object.entries((JSON.parse(readFileSync(file, "utf8")) as { heads: Record<string, Head> }).heads));
  } catch (error) {
    console.error(`${file} cannot be read as heads: ${(error as Error).message}`);
    process.exit(2);
  }
}

/** Its own connections: those of the app ask for the app's whole environment. */
function openDatabase(): pg.Pool {
  const connectionString = process.env.DATABASE_URL?.trim();
  if (!connectionString) {
    console.error("DATABASE_URL is not set (see .env.example).");
    process.exit(2);
  }
  const pool = new pg.Pool({ connectionString });
  // A connection that breaks while nobody uses it is replaced; unheard, the event would end the process.
  pool.on("error", (error) => console.error(`An idle database connection broke: ${error.message}`));
  return pool;
}

const given = readArguments();
const against = readHeads(given.against);
const heads: Record<string, Head> = {};
const pool = openDatabase();
const began = Date.now();
let told = began;
const { organizations, rows, findings, more } = await verifyLedger(pool, {
  ...(given.organization === undefined ? {} : { organizationId: given.organization }),
  ...(against === undefined ? {} : { against }),
  onHead: (id, head) => {
    if (given.heads !== undefined) heads[id] = head;
  },
  onFinding: (finding) => console.log(findingLine(finding)),
  onProgress: (count) => {
    if (Date.now() - told < PROGRESS_MS) return;
    told = Date.now();
    console.error(`… ${count} rows`);
  },
});
if (given.heads !== undefined) {
  writeFileSync(given.heads, `${JSON.stringify({ at: new Date(began).toISOString(), heads }, null, 1)}\n`);
}
const found = findings.length + more;
const verdict = found === 0 ? "nothing is wrong" : `${found} ${found === 1 ? "finding" : "findings"}`;
const beyond = more > 0 ? ` (${more} of them not shown: only the first hundred of each organization are)` : "";
const seconds = ((Date.now() - began) / 1000).toFixed(1);
console.log(`${organizations} ledgers with ${rows} rows in ${seconds} s: ${verdict}${beyond}.`);
await pool.end();
process.exitCode = found === 0 ? 0 : 1;
