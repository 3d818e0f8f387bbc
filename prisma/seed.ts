// `npm run db:seed`: the catalogue. In the demo also people, an organization with a believable past, and its keys.
import "../src/cli/load-env";
import { writeFile } from "node:fs/promises";
import { DEMO_ORGANIZATION_NAME, DEMO_PEOPLE, type DemoPerson } from "~/server/auth/demo-people";
import { authenticateApiKey, createApiKey } from "~/server/billing/api-keys";
import { consumeCredits } from "~/server/billing/credits";
import { inviteMember } from "~/server/billing/invitations";
import { createOrganization } from "~/server/billing/organizations";
import { pushCatalogue } from "~/server/billing/stripe-catalogue";
import { asPlatform, disconnect } from "~/server/db";
import { newId } from "~/server/db/keys";
import { env } from "~/server/env";
import { type Buying, buyPack, subscribe } from "./seed/buying";
import { seedCatalogue } from "./seed/catalogue";
import { giveAway, type Happening, refundPart, setBudgets, startWork } from "./seed/happenings";
import { live } from "./seed/history";
import { subscribeThenLoseCard } from "./seed/overdue";
import { receiveEvents, setClock } from "./seed/sandbox";

const DAY_MS = 86_400_000;
const DAYS_OF_HISTORY = 164;

// A month and a few days: the renewal has failed, and its days of grace are not over.
const OVERDUE_DAYS_LEFT = 34;
const OVERDUE_PACK_DAYS_LEFT = 6;

/** A third organization of the same person, whose card stopped paying; a pack, paid with another one, carries it on. */
function fallBehind({ id, email }: { id: string; email: string }): Happening[] {
  let organizationId = "";
  const use = async (quantities: readonly number[], from: Date, everyDays: number) => {
    for (const [index, quantity] of quantities.entries()) {
      const now = new Date(from.getTime() + (index * everyDays + 0.3) * DAY_MS);
      const what = { organizationId, actor: `user:${id}`, eventName: "ai_inference", quantity };
      await consumeCredits({ ...what, idempotencyKey: `catch-${now.toISOString()}`, now });
    }
  };
  return [
    {
      daysLeft: OVERDUE_DAYS_LEFT,
      async happen(_, __, at) {
        organizationId = (await createOrganization({ name: "Tern & Tide", owner: id, now: at })).id;
        await subscribeThenLoseCard({ organizationId, userId: id, email }, "pro", at);
        await use([31, 24, 27, 38, 22, 29, 33], at, 3);
      },
    },
    {
      daysLeft: OVERDUE_PACK_DAYS_LEFT,
      async happen(_, __, at) {
        await buyPack({ organizationId, userId: id, email }, 2_500, at);
        await use([9, 14, 11, 6, 12], at, 1);
      },
    },
  ];
}

async function createPerson(person: DemoPerson, now: Date): Promise<string> {
  const { email, name, actingRole } = person;
  const id = newId(now);
  const isPlatformAdmin = actingRole === "platform";
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

  const people = await Promise.all(
    DEMO_PEOPLE.map(async (person) => ({ ...person, id: await createPerson(person, start) })),
  );
  const owner = people.find((person) => person.actingRole === "owner");
  const developer = people.find((person) => person.actingRole === "member");
  if (!owner || !developer) throw new Error("the demo has an owner and a developer");

  const northwind = await createOrganization({ name: DEMO_ORGANIZATION_NAME, owner: owner.id, now: start });
  const createdAt = new Date(start.getTime() + DAY_MS);
  await asPlatform((tx) =>
    tx.membership.createMany({
      data: people.flatMap(({ id, actingRole }) =>
        actingRole === "platform" || actingRole === "owner"
          ? []
          : [{ organizationId: northwind.id, userId: id, role: actingRole, createdAt }],
      ),
    }),
  );
  const keys = await createServiceKeys(northwind.id, owner.id, start);
  const buying: Buying = { organizationId: northwind.id, userId: owner.id, email: owner.email };
  const subscribedAt = new Date(start.getTime() + 9 * 3_600_000);
  await subscribe(buying, "pro", subscribedAt);
  const keyIds = { production: keys.production.id, staging: keys.staging.id, "batch-worker": keys["batch-worker"].id };
  await live(buying, keyIds, new Date(start.getTime() + DAY_MS), today, [
    { daysLeft: 26, happen: refundPart },
    ...fallBehind(owner),
    { daysLeft: 20, happen: setBudgets(developer.id) },
  ]);
  const lastNight = new Date(today.getTime() - DAY_MS / 2);
  for (const { key } of Object.values(keys)) await authenticateApiKey(key, lastNight);
  await inviteMember({
    organizationId: northwind.id,
    email: "lena@northwind.example",
    role: "billing",
    invitedBy: { userId: owner.id, name: owner.name },
    actingRole: "owner",
    now: new Date(today.getTime() - 2 * DAY_MS),
  });

  await startWork(buying, keyIds, developer.id, today);

  // A second organization of the same person, in its trial.
  const trialBegan = new Date(today.getTime() - 5 * DAY_MS);
  const halden = await createOrganization({ name: "Halden Analytics", owner: owner.id, now: trialBegan });
  await setClock(new Date(today.getTime() - 60_000));
  await receiveEvents();
  await subscribe({ ...buying, organizationId: halden.id }, "starter", new Date(today.getTime() - 50_000));
  await giveAway(buying, halden.id, new Date(today.getTime() - 40_000));
  await setClock(null);
  await receiveEvents();

  const service = await createApiKey({ organizationId: northwind.id, name: "demo", createdById: owner.id, now: today });
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
