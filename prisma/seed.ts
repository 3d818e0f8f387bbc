// `npm run db:seed`: the catalogue. In the demo also people, organizations with a believable past, and keys.
import "../src/cli/load-env";
import { writeFile } from "node:fs/promises";
import { disconnect } from "~/server/db";
import { env } from "~/server/env";
import { seedCatalogue } from "./seed/catalogue";
import { seedDemo } from "./seed/demo";
import { receiveEvents, setClock } from "./seed/sandbox";

const now = new Date();
await seedCatalogue(now);
if (env().BILLFOLD_DEMO === "1") {
  const seeded = await seedDemo(now);
  await setClock(null);
  await receiveEvents();
  const output = process.env.BILLFOLD_SEED_OUTPUT;
  if (output) await writeFile(output, JSON.stringify(seeded));
}
await disconnect();
