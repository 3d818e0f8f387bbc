// `npm run platform-key -- "name"`: makes a key that may act for any organization, and shows it once.
import "./load-env";
import { createApiKey } from "~/server/billing/api-keys";
import { now } from "~/server/clock";
import { disconnect } from "~/server/db";

const name = process.argv.slice(2).join(" ").trim();
if (!name || name.length > 80) {
  console.error('Say what the key is for, in at most 80 characters: npm run platform-key -- "metering service"');
  process.exit(1);
}
const { key, hint } = await createApiKey({ organizationId: null, name, createdById: null, now: now() });
console.log(
  `${key}\n\nThis is the only time it is shown; only its hash is kept (${hint}). It may act for every organization.`,
);
await disconnect();
