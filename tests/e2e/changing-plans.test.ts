// The life of a subscription in a real browser: the card fails at a renewal, is replaced, and pays; a larger plan with its
// preview; a smaller one that is scheduled and taken back; an end that is taken back. Each test goes on from the one before.
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findFreePort } from "~/cli/ports";
import { ensureWebhookEndpoint } from "~/cli/webhook-endpoint";
import { createOrganization } from "~/server/billing/organizations";
import { subscribeThenLoseCard } from "../../prisma/seed/overdue";
import { receiveEvents, setClock } from "../../prisma/seed/sandbox";
import type { App } from "../setup/app";
import { expectLawfulLedger } from "../setup/billing";
import { launchBrowser } from "../setup/browser";
import { createPerson } from "../setup/tenancy";
import { sessionCookie } from "./support/sessions";
import { newVisitor, payByCard, pictured, press, words } from "./support/visitors";
import { openWorld, type World } from "./support/world";

const DAY_MS = 86_400_000;
const GOOD_CARD = "4242 4242 4242 4242";

let world: World;
let app: App;
let browser: Browser;
let owner: Page;
let base: string;
let organizationId: string;

beforeAll(async () => {
  // A month and two days: the renewal is due, and its days of grace are not over.
  const began = new Date(Date.now() - 33 * DAY_MS);
  world = await openWorld({ since: began });
  const person = await createPerson({ email: "kaja@fjord.example", name: "Kaja Fjord" });
  const organization = await createOrganization({ name: "Fjord and Daughters", owner: person.userId, now: began });
  organizationId = organization.id;
  const buying = { organizationId, userId: person.userId, email: "kaja@fjord.example" };
  await subscribeThenLoseCard(buying, "pro", began);
  await setClock(null);
  await receiveEvents();

  const port = await findFreePort();
  const webhookUrl = `http://localhost:${port}/api/billing/webhook/stripe`;
  const { secret } = await ensureWebhookEndpoint(world.stripe, webhookUrl, undefined);
  app = await world.startInstance({ port, webhookSecret: secret });
  browser = await launchBrowser();
  owner = await newVisitor(browser);
  const cookie = await sessionCookie(person.userId);
  await owner.context().addCookies([{ ...cookie, url: app.url, httpOnly: true, sameSite: "Lax" }]);
  base = `${app.url}/${organization.slug}/billing`;
});

afterAll(async () => {
  await browser?.close();
  await world?.close();
});

function stretch(title: string, work: () => Promise<void>): void {
  test(title, () => pictured(browser, title, work));
}

const attention = () => owner.getByRole("region", { name: "Needs attention" });
const yourPlan = () => owner.getByRole("region", { name: "Your plan" });

stretch("a failed renewal says what failed and what comes of it, and why paying it again does not work", async () => {
  await owner.goto(base);
  await words(attention()).toMatch(
    /The payment of \$49\.00 for Pro failed on .* Credits can be spent until .* then spending stops/,
  );
  await press(attention().getByRole("button", { name: "Pay now" }));
  await words(attention().getByRole("alert")).toContain(
    "The bank declined the payment without saying why. Use another card, or ask your bank. Nothing was charged.",
  );
  expect(await paidAmounts()).toEqual(["4900"]);
});

stretch(
  "another card is put in Stripe's portal, pays what is open, and the plan goes on with its credits",
  async () => {
    await press(attention().getByRole("button", { name: "Update card" }));
    await owner.getByRole("heading", { name: "Update payment method" }).waitFor();
    await fillCard();
    await owner.waitForURL(base);
    await press(attention().getByRole("button", { name: "Pay now" }));
    await attention().waitFor({ state: "detached" });
    await words(owner.getByRole("region", { name: "Pro, monthly" })).toMatch(/Active[\s\S]*renews on/);
    await words(owner.locator("dl.answers")).toMatch(/Credits left\s*6,000/);
    expect(await paidAmounts()).toEqual(["4900", "4900"]);
  },
);

stretch("a larger plan is previewed, and costs and brings what was shown", async () => {
  await owner.goto(`${base}/plans`);
  await press(owner.getByRole("radio", { name: "Scale" }));
  const receipt = owner.getByRole("region", { name: "Pro to Scale" });
  const button = receipt.getByRole("button", { name: /^Change to Scale and pay \$/ });
  await button.waitFor();
  const price = /\$([\d.]+)$/.exec((await button.textContent()) ?? "")?.[1] ?? "";
  const right = await receipt.getByText("Right after the change").locator("xpath=../dd").textContent();
  const after = Number(/^[\d,]+/.exec(right ?? "")?.[0].replace(",", ""));
  expect(after).toBeGreaterThan(6_000);
  // A double click is one change.
  await button.dblclick();
  await words(yourPlan()).toMatch(/Scale, monthly[\s\S]*\$149\.00 a month/);
  expect(await paidAmounts()).toEqual(["4900", "4900", String(Math.round(Number(price) * 100))]);
  await owner.goto(base);
  await words(owner.locator("dl.answers")).toContain(after.toLocaleString("en-US"));
  await owner.goto(`${base}/history`);
  await words(owner.getByRole("row", { name: /Scale, upgrade from Pro/ })).toMatch(
    new RegExp(`paid[\\s\\S]*\\$${price}`),
  );
  await expectLawfulLedger(world.sql, organizationId);
});

stretch("a smaller plan waits for the end of the period, and is taken back", async () => {
  await owner.goto(`${base}/plans`);
  await press(owner.getByRole("radio", { name: "Starter" }));
  await press(owner.getByRole("button", { name: /^Change to Starter on / }));
  await words(yourPlan()).toMatch(/Then[\s\S]*Starter, monthly/);
  await press(yourPlan().getByRole("button", { name: "Keep Scale" }));
  await words(yourPlan()).not.toContain("Starter");
  expect(await world.sql("SELECT 1 FROM organization_subscriptions WHERE scheduled_change IS NOT NULL")).toEqual([]);
});

stretch("an end says what becomes of credits and money, and is taken back", async () => {
  await press(yourPlan().getByRole("button", { name: "Cancel plan" }));
  const dialog = owner.getByRole("alertdialog", { name: "Cancel Scale" });
  await words(dialog).toMatch(/Nothing more is charged\.[\s\S]*credits stay until they expire/);
  await dialog.getByRole("button", { name: /^Cancel on / }).click();
  await dialog.waitFor({ state: "detached" });
  await words(yourPlan()).toMatch(/Ends[\s\S]*not renewed/);
  // The button that opened the dialog has gone; the keyboard goes on at the content.
  await expect.poll(() => owner.evaluate(() => document.activeElement?.id)).toBe("main");
  await press(yourPlan().getByRole("button", { name: "Keep Scale" }));
  await words(yourPlan()).toContain("Renews");
});

stretch(
  "whoever does not administer the platform finds none of its pages, and asks its procedures in vain",
  async () => {
    for (const path of ["", "/webhooks", "/reconciliation"]) {
      expect((await owner.request.get(`${app.url}/admin${path}`)).status(), path).toBe(404);
    }
    for (const procedure of ["events.list", "alerts.list", "reconciliation.list"]) {
      const input = encodeURIComponent(JSON.stringify({ json: {} }));
      const answer = await owner.request.get(`${app.url}/api/trpc/admin.${procedure}?input=${input}`);
      expect(answer.status(), procedure).toBe(403);
    }
  },
);

/** The portal's form asks for what the checkout's does. */
async function fillCard(): Promise<void> {
  await payByCard(owner, GOOD_CARD, /^Save card$/);
}

/** What Stripe was paid by the organization, in the order of payment. */
async function paidAmounts(): Promise<string[]> {
  const rows = await world.sql<{ amount: string }>(
    "SELECT amount FROM billing_history WHERE organization_id = $1 AND kind = 'invoice' AND status = 'paid' ORDER BY occurred_at, id",
    [organizationId],
  );
  return rows.map(({ amount }) => amount);
}
