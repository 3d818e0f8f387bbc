// `npm run ledger:verify`: checks every ledger from its first row, and prints a line for whatever is not as it should be.
//   -- --organization <id>   only this one
//   -- --heads heads.json    writes where each chain ends, to be kept where this database's owner cannot change it
//   -- --against heads.json  each chain must still lead through where it was then
import "./load-env";
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Head } from "~/server/billing/ledger/replay";
import { findingLine, verifyLedger } from "~/server/billing/ledger/verify";
import { disconnect } from "~/server/db";
import { database } from "~/server/db/pool";

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

const given = readArguments();
const against = readHeads(given.against);
const heads: Record<string, Head> = {};
const began = Date.now();
let told = began;
const { organizations, rows, findings, more } = await verifyLedger(database(), {
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
await disconnect();
process.exitCode = found === 0 ? 0 : 1;
