// The catalogue of the platform: three plans and one for enterprises, the rate card, three packs.
import { asPlatform } from "~/server/db";
import { newId } from "~/server/db/keys";

const PLANS = [
  {
    key: "starter",
    name: "Starter",
    description: "For a first product with a few customers.",
    features: ["3 members", "2 API keys", "Mail, answered in 2 days"],
    credits: 1_500n,
    trialDays: 14,
    trialCredits: 300n,
    isPublic: true,
    prices: { month: { usd: 1_500, eur: 1_400 }, year: { usd: 15_000, eur: 14_000 } },
  },
  {
    key: "pro",
    name: "Pro",
    description: "For teams whose product runs on credits every day.",
    features: ["15 members", "10 API keys", "Mail, answered in a day", "Usage by event and key"],
    credits: 6_000n,
    trialDays: 0,
    trialCredits: 0n,
    isPublic: true,
    prices: { month: { usd: 4_900, eur: 4_500 }, year: { usd: 49_000, eur: 45_000 } },
  },
  {
    key: "scale",
    name: "Scale",
    description: "For products that many customers rely on.",
    features: [
      "Members without limit",
      "50 API keys",
      "Chat, answered in an hour",
      "Usage by event and key",
      "Own rates for events",
    ],
    credits: 25_000n,
    trialDays: 0,
    trialCredits: 0n,
    isPublic: true,
    prices: { month: { usd: 14_900, eur: 13_900 }, year: { usd: 149_000, eur: 139_000 } },
  },
  {
    key: "enterprise",
    name: "Enterprise",
    description: "Own rates, invoices by bank transfer, 99.95 % uptime.",
    features: ["Own rates for events", "Invoices by bank transfer", "99.95 % uptime", "A person to call"],
    credits: 150_000n,
    trialDays: 0,
    trialCredits: 0n,
    isPublic: false,
    prices: { month: { usd: 69_000 }, year: { usd: 690_000 } },
  },
] as const;

const EVENTS = [
  { name: "api_call_basic", description: "A call of the standard interface", category: "API", cost: 1n },
  {
    name: "api_call_premium",
    description: "A call of the interface with guaranteed latency",
    category: "API",
    cost: 5n,
  },
  { name: "storage_gb_month", description: "A gigabyte kept for a month", category: "Storage", cost: 10n },
  { name: "ai_inference", description: "An answer of the vision model", category: "AI", cost: 25n },
] as const;

const PACKS = [
  { key: "pack_2500", name: "2,500 credits", credits: 2_500n, prices: { usd: 2_500, eur: 2_300 } },
  { key: "pack_10000", name: "10,000 credits", credits: 10_000n, prices: { usd: 8_900, eur: 8_200 } },
  { key: "pack_50000", name: "50,000 credits", credits: 50_000n, prices: { usd: 39_900, eur: 36_900 } },
] as const;

/** Adds what of the catalogue is not there yet; what is there, edited or not, is left alone. */
export async function seedCatalogue(now: Date): Promise<void> {
  await asPlatform(async (tx) => {
    for (const [sortOrder, { prices, features, ...plan }] of PLANS.entries()) {
      if (await tx.subscriptionPlan.findUnique({ where: { key: plan.key } })) continue;
      const planId = newId(now);
      const dates = { createdAt: now, updatedAt: now };
      await tx.subscriptionPlan.create({ data: { id: planId, ...plan, ...dates, features: [...features], sortOrder } });
      for (const [interval, amounts] of Object.entries(prices)) {
        for (const [currency, unitAmount] of Object.entries<number>(amounts)) {
          const price = { interval: interval as "month" | "year", currency, unitAmount: BigInt(unitAmount) };
          await tx.planPrice.create({ data: { id: newId(now), planId, ...price, createdAt: now } });
        }
      }
    }
    for (const event of EVENTS) {
      if (await tx.creditEvent.findUnique({ where: { name: event.name } })) continue;
      await tx.creditEvent.create({ data: { id: newId(now), ...event, createdAt: now, updatedAt: now } });
    }
    for (const [sortOrder, { prices, ...pack }] of PACKS.entries()) {
      if (await tx.creditProduct.findUnique({ where: { key: pack.key } })) continue;
      const productId = newId(now);
      await tx.creditProduct.create({ data: { id: productId, ...pack, sortOrder, createdAt: now, updatedAt: now } });
      for (const [currency, unitAmount] of Object.entries(prices)) {
        const price = { currency, unitAmount: BigInt(unitAmount) };
        await tx.creditProductPrice.create({ data: { id: newId(now), productId, ...price, createdAt: now } });
      }
    }
  });
}
