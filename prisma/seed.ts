// `npm run db:seed`: the catalogue. In the demo also people, an organization with a believable past, and its keys.
import "../src/cli/load-env";
import { writeFile } from "node:fs/promises";
import { createApiKey } from "~/server/billing/api-keys";
import { inviteMember } from "~/server/billing/invitations";
import { createOrganization } from "~/server/billing/organizations";
import { pushCatalogue } from "~/server/billing/stripe-catalogue";
import { asPlatform, disconnect } from "~/server/db";
import { newId } from "~/server/db/keys";
import { env } from "~/server/env";
import { seedCatalogue } from "./seed/catalogue";
import { type Buying, live, subscribe } from "./seed/history";
import { receiveEvents, setClock } from "./seed/sandbox";

const DAY_MS = 86_400_000;
const DAYS_OF_HISTORY = 164;

const PEOPLE = [
  { key: "maya", name: "Maya Okafor", role: "owner" },
  { key: "ivo", name: "Ivo Brandt", role: "admin" },
  { key: "priya", name: "Priya Raman", role: "billing" },
  { key: "jonas", name: "Jonas Weber", role: "member" },
] as const;

async function createPerson(key: string, name: string, now: Date, isPlatformAdmin = false): Promise<string> {
  const id = newId(now);
  const email = `${key}@demo.billfold.test`;
  await asPlatform((tx) =>
    tx.user.create({ data: { id, email, name, emailVerified: now, isPlatformAdmin, createdAt: now } }),
  );
  return id;
}

async function createServiceKeys(organizationId: string, createdById: string, now: Date) {
  const make = (name: string) => createApiKey({ organizationId, name, createdById, now });
  return {
    production: await make("production"),
    staging: await make("staging"),
    "batch-worker": await make("batch-worker"),
  };
}

async function seedDemo(today: Date): Promise<void> {
  // Whole hours, so that days of history begin at midnight UTC.
  const start = new Date(Math.floor(today.getTime() / DAY_MS) * DAY_MS - DAYS_OF_HISTORY * DAY_MS);
  await setClock(start);
  await pushCatalogue();

  const ids: Record<string, string> = {};
  for (const { key, name } of PEOPLE) ids[key] = await createPerson(key, name, start);
  await createPerson("dana", "Dana Whitfield", start, true);
  const maya = ids.maya ?? "";

  const northwind = await createOrganization({ name: "Northwind Robotics", owner: maya, now: start });
  await asPlatform((tx) =>
    tx.membership.createMany({
      data: PEOPLE.slice(1).map(({ key, role }) => ({
        organizationId: northwind.id,
        userId: ids[key] ?? "",
        role,
        createdAt: new Date(start.getTime() + DAY_MS),
      })),
    }),
  );
  const keys = await createServiceKeys(northwind.id, maya, start);
  const buying: Buying = { organizationId: northwind.id, userId: maya, email: "maya@demo.billfold.test" };
  const subscribedAt = new Date(start.getTime() + 9 * 3_600_000);
  await subscribe(buying, "pro", subscribedAt);
  const keyIds = { production: keys.production.id, staging: keys.staging.id, "batch-worker": keys["batch-worker"].id };
  await live(buying, keyIds, new Date(start.getTime() + DAY_MS), today);
  await inviteMember({
    organizationId: northwind.id,
    email: "lena@demo.billfold.test",
    role: "billing",
    invitedBy: { userId: maya, name: "Maya Okafor" },
    actingRole: "owner",
    now: new Date(today.getTime() - 2 * DAY_MS),
  });

  // A second organization of the same person, in its trial.
  const trialBegan = new Date(today.getTime() - 5 * DAY_MS);
  const halden = await createOrganization({ name: "Halden Analytics", owner: maya, now: trialBegan });
  await setClock(new Date(today.getTime() - 60_000));
  await receiveEvents();
  await subscribe({ ...buying, organizationId: halden.id }, "starter", new Date(today.getTime() - 50_000));
  await setClock(null);
  await receiveEvents();

  const service = await createApiKey({ organizationId: northwind.id, name: "demo", createdById: maya, now: today });
  const platform = await createApiKey({ organizationId: null, name: "demo platform", createdById: null, now: today });
  const output = process.env.BILLFOLD_SEED_OUTPUT;
  if (!output) return;
  const seeded = {
    organizationId: northwind.id,
    organizationSlug: northwind.slug,
    apiKey: service.key,
    platformApiKey: platform.key,
  };
  await writeFile(output, JSON.stringify(seeded));
}

const now = new Date();
await seedCatalogue(now);
if (env().BILLFOLD_DEMO === "1") await seedDemo(now);
await disconnect();
