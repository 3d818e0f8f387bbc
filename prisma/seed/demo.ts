// The people of the demo, their organizations with a believable past until today, and its keys.
import { DEMO_ORGANIZATION_NAME, DEMO_PEOPLE, type DemoPerson } from "~/server/auth/demo-people";
import { authenticateApiKey, createApiKey } from "~/server/billing/api-keys";
import { consumeCredits, getBalance } from "~/server/billing/credits";
import { inviteMember } from "~/server/billing/invitations";
import { createOrganization } from "~/server/billing/organizations";
import { pushCatalogue } from "~/server/billing/stripe-catalogue";
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";
import { type Buying, buyPack, subscribe } from "./buying";
import { giveAway, type Happening, refundPart, setBudgets, startWork } from "./happenings";
import { live, RENEWS_AT_MS } from "./history";
import { subscribeThenLoseCard } from "./overdue";
import { receiveEvents, setClock } from "./sandbox";

const DAY_MS = 86_400_000;
const DAYS_OF_HISTORY = 164;
const ENOUGH_FOR_TODAY = 2_000;

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

/** What the demo's programs are told. */
export interface DemoSeed {
  organizationId: string;
  organizationSlug: string;
  apiKey: string;
  platformApiKey: string;
}

/** Lives the demo's past. Stripe's clock stands a minute before today afterwards: whoever calls sets it free. */
export async function seedDemo(today: Date): Promise<DemoSeed> {
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
  const subscribedAt = new Date(start.getTime() + RENEWS_AT_MS);
  await subscribe(buying, "pro", subscribedAt);
  const keyIds = { production: keys.production.id, staging: keys.staging.id, "batch-worker": keys["batch-worker"].id };
  const justNow = new Date(today.getTime() - DAY_MS / 24);
  await live(buying, keyIds, new Date(start.getTime() + DAY_MS), justNow, [
    { daysLeft: 26, happen: refundPart },
    ...fallBehind(owner),
    { daysLeft: 20, happen: setBudgets(developer.id) },
  ]);
  await setClock(justNow);
  await receiveEvents();
  // Started between a period's end and the next one's credits, only packs can pay for what runs and is given away today.
  if ((await getBalance(northwind.id, today)).available < ENOUGH_FOR_TODAY) await buyPack(buying, 2_500, justNow);
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

  const service = await createApiKey({ organizationId: northwind.id, name: "demo", createdById: owner.id, now: today });
  const platform = await createApiKey({ organizationId: null, name: "demo platform", createdById: null, now: today });
  return {
    organizationId: northwind.id,
    organizationSlug: northwind.slug,
    apiKey: service.key,
    platformApiKey: platform.key,
  };
}
