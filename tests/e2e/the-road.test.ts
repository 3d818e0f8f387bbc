// The whole road in a real browser: from an address on the sign-in page to a subscription, credits, a service that spends
// them, a colleague, and the end of the plan. Each test goes on from where the one before has left the organization.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { childEnv } from "~/cli/child-env";
import { ROOT } from "~/cli/demo-state";
import { findFreePort } from "~/cli/ports";
import { ensureWebhookEndpoint } from "~/cli/webhook-endpoint";
import type { App } from "../setup/app";
import { expectLawfulLedger } from "../setup/billing";
import { launchBrowser } from "../setup/browser";
import { until } from "./support/until";
import { followMail, newVisitor, payByCard, pictured, press, type, words } from "./support/visitors";
import { openWorld, type World } from "./support/world";

const OWNER = "kaja@fjord.example";
const MEMBER = "tomas@fjord.example";
const STRANGER = "mallory@elsewhere.example";
const ORGANIZATION = "Fjord and Daughters";

const GOOD_CARD = "4242 4242 4242 4242";
const DECLINED_CARD = "4000 0000 0000 0002";
const ASKING_CARD = "4000 0027 6000 3184";

let world: World;
let app: App;
let browser: Browser;
let owner: Page;
let mailbox: string;
/** Where the organization's pages are. */
let base: string;
let organizationId: string;
/** The page that Stripe sent the owner back to after paying. */
let successUrl: string;
let apiKey: string;

beforeAll(async () => {
  world = await openWorld();
  mailbox = `${world.sandbox.url}/mailbox`;
  const port = await findFreePort();
  const webhookUrl = `http://localhost:${port}/api/billing/webhook/stripe`;
  const { secret } = await ensureWebhookEndpoint(world.stripe, webhookUrl, undefined);
  app = await world.startInstance({ port, webhookSecret: secret });
  browser = await launchBrowser();
  owner = await newVisitor(browser);
});

afterAll(async () => {
  await browser?.close();
  await world?.close();
});

/** A stretch of the road. */
function stretch(title: string, work: () => Promise<void>): void {
  test(title, () => pictured(browser, title, work));
}

stretch("somebody new signs in with a link from their mailbox", async () => {
  await signIn(owner, OWNER);
  await owner.waitForURL(`${app.url}/new`);
});

stretch("they create an organization and are shown the plans", async () => {
  await type(owner.getByLabel("Organization name"), ORGANIZATION);
  await press(owner.getByRole("button", { name: "Create organization" }));
  await owner.waitForURL("**/billing/plans**");
  base = owner.url().replace(/\/plans.*$/, "");
  expect(base).toBe(`${app.url}/fjord-and-daughters/billing`);
  const [row] = await world.sql<{ id: string }>("SELECT id FROM organizations WHERE name = $1", [ORGANIZATION]);
  organizationId = row?.id ?? "";
});

stretch("a declined card, or a bank's question that is not answered, says so and changes nothing", async () => {
  await press(owner.getByRole("radio", { name: "Pro" }));
  await press(owner.getByRole("button", { name: "Subscribe to Pro for $49.00 a month" }));
  await owner.getByRole("heading", { name: "Checkout" }).waitFor();
  await payByCard(owner, DECLINED_CARD);
  await words(owner.getByRole("alert")).toBe("Your card was declined.");
  await payByCard(owner, ASKING_CARD);
  await owner.getByRole("button", { name: "Fail authentication" }).click();
  await words(owner.getByRole("alert")).toContain("We are unable to authenticate your payment method.");
  await untilStripeIsHeard();
  expect((await expectLawfulLedger(world.sql, organizationId)).rows).toEqual([]);
  for (const table of ["organization_subscriptions", "billing_history"]) {
    expect(await world.sql(`SELECT 1 FROM ${table} WHERE organization_id = $1`, [organizationId]), table).toEqual([]);
  }
});

stretch("a good card brings the plan, its credits and its invoice, once", async () => {
  await payByCard(owner, GOOD_CARD);
  await owner.waitForURL(/\/billing\/checkout\?session=cs_/, { waitUntil: "commit" });
  successUrl = owner.url();
  await owner.getByRole("heading", { name: /is active$/ }).waitFor();

  await owner.waitForURL(base);
  await words(answerTo(owner, "Credits left")).toBe("6,000");
  const plan = owner.getByRole("region", { name: "Pro, monthly" });
  await words(plan).toContain("Active");
  await words(plan).toContain("renews on");
  await words(plan).toMatch(/Visa.*4242/);

  await press(owner.getByRole("link", { name: "History", exact: true }));
  await owner.getByRole("heading", { name: "History", level: 1 }).waitFor();
  const invoice = owner.getByRole("row", { name: /Pro, monthly/ });
  await words(invoice).toContain("$49.00");
  await words(invoice).toContain("paid");
  const pdf = await owner.request.get((await invoice.getByRole("link", { name: /^PDF/ }).getAttribute("href")) ?? "");
  expect(pdf.headers()["content-type"]).toBe("application/pdf");

  // Both the page and the events have told of the payment by now.
  await untilStripeIsHeard();
  const { rows } = await expectLawfulLedger(world.sql, organizationId);
  expect(rows).toMatchObject([{ type: "grant", amount: 6_000 }]);
  const history = await world.sql("SELECT 1 FROM billing_history WHERE organization_id = $1", [organizationId]);
  expect(history).toHaveLength(1);
});

stretch("a pack, paid with a card that asks its owner, is there at once and never expires", async () => {
  await owner.goto(`${base}/credits`);
  await press(owner.getByRole("button", { name: "Buy 2,500 credits" }));
  await payByCard(owner, ASKING_CARD);
  await owner.getByRole("button", { name: "Complete authentication" }).click();
  await owner.getByRole("heading", { name: "2,500 credits are there" }).waitFor();
  await owner.waitForURL(base);
  await words(answerTo(owner, "Credits left")).toBe("8,500");
  await owner.goto(`${base}/credits`);
  const lots = owner.getByRole("table", { name: "Lots in the order they will be spent" });
  await words(lots.getByRole("row", { name: /Pack of 2,500/ })).toMatch(/1st[\s\S]*never[\s\S]*2,500/);
  await words(lots.getByRole("row", { name: /Pro/ })).toMatch(/2nd[\s\S]*in \d+ days[\s\S]*6,000/);
});

stretch("an API key is shown once", async () => {
  await owner.goto(`${base}/settings`);
  await press(owner.getByRole("button", { name: "Create API key" }));
  const dialog = owner.getByRole("dialog");
  await dialog.getByLabel("Name").fill("image-service");
  await dialog.getByRole("button", { name: "Create key" }).click();
  apiKey = await dialog.getByRole("textbox", { name: "API key" }).inputValue();
  expect(apiKey).toMatch(/^bf_live_[0-9A-Za-z]{32}$/);
  await dialog.getByRole("button", { name: "Done" }).click();
  await dialog.waitFor({ state: "detached" });
  await owner.getByRole("row", { name: /image-service/ }).waitFor();
  expect(await owner.content()).not.toContain(apiKey);
  await owner.reload();
  await owner.getByRole("row", { name: /image-service/ }).waitFor();
  expect(await owner.content()).not.toContain(apiKey);
});

stretch("a service in another process spends purchased credits first, and is told when there are too few", async () => {
  const [small, across, beyond] = await runService([
    { eventName: "ai_inference", quantity: 60, idempotencyKey: "images-1" },
    { eventName: "api_call_premium", quantity: 300, idempotencyKey: "calls-1" },
    { eventName: "ai_inference", quantity: 1_000, idempotencyKey: "images-2" },
  ]);
  expect(small).toMatchObject({
    consumed: 1_500,
    available: 7_000,
    replayed: false,
    allocations: [{ source: "purchase", amount: 1_500 }],
  });
  expect(across).toMatchObject({
    consumed: 1_500,
    available: 5_500,
    allocations: [
      { source: "purchase", amount: 1_000 },
      { source: "subscription", amount: 500 },
    ],
  });
  expect(beyond).toEqual({ refused: "INSUFFICIENT_CREDITS", status: 402, required: 25_000, available: 5_500 });

  // Started again by a supervisor, it takes nothing twice.
  const [again] = await runService([{ eventName: "ai_inference", quantity: 60, idempotencyKey: "images-1" }]);
  expect(again).toEqual({ ...(small as object), replayed: true });
});

stretch("the pages show what was spent, and a transaction names the lots that paid", async () => {
  await owner.goto(base);
  await words(answerTo(owner, "Credits left")).toBe("5,500");
  await press(owner.getByRole("link", { name: "Credits", exact: true }));
  const table = owner.getByRole("table", { name: "Transactions, newest first" });
  await words(table.getByRole("row", { name: /60 × ai_inference/ })).toMatch(/image-service[\s\S]*−1,500[\s\S]*7,000/);
  await words(table.getByRole("row", { name: /300 × api_call_premium/ })).toMatch(/2 lots[\s\S]*−1,500[\s\S]*5,500/);

  await press(table.getByRole("link", { name: "300 × api_call_premium" }));
  const drawer = owner.getByRole("dialog", { name: /^Transaction/ });
  const payers = drawer.getByRole("region", { name: "Two lots paid for it" });
  await words(payers).toMatch(/Pack of 2,500[\s\S]*−1,000[\s\S]*Pro[\s\S]*−500/);
  await words(drawer).toContain("calls-1");
  await words(drawer).toContain("image-service");
  await owner.keyboard.press("Escape");
  await drawer.waitFor({ state: "detached" });
});

stretch("a member who was invited joins through the mail, and is not offered to buy", async () => {
  await owner.goto(`${base}/settings`);
  await press(owner.getByRole("button", { name: "Invite member" }));
  const dialog = owner.getByRole("dialog");
  await dialog.getByLabel("Email").fill(MEMBER);
  await dialog.getByLabel("Role").selectOption("member");
  await dialog.getByRole("button", { name: "Send invitation" }).click();
  await dialog.waitFor({ state: "detached" });

  const member = await newVisitor(browser);
  await followMail(member, mailbox, MEMBER, new RegExp(`Join ${ORGANIZATION}`));
  await member.getByRole("heading", { name: `Join ${ORGANIZATION}` }).waitFor();
  await member.getByRole("link", { name: "Sign in to accept" }).click();
  await askForLink(member, MEMBER);
  await followMail(member, mailbox, MEMBER, /Sign in to/);
  await press(member.getByRole("button", { name: "Accept invitation" }));
  await member.waitForURL(base);

  await words(answerTo(member, "Credits left")).toBe("5,500");
  for (const path of ["", "/credits", "/plans"]) {
    await member.goto(base + path);
    await member.getByRole("heading", { level: 1 }).waitFor();
    const offers = member.getByRole("button", { name: /^(Buy|Subscribe|Manage|Start trial)/ });
    const ways = member.getByRole("main").getByRole("link", { name: /^(Buy|Change plan)/ });
    await member.waitForLoadState("networkidle");
    expect(await offers.count(), `offers on ${path}`).toBe(0);
    expect(await ways.count(), `ways to pay on ${path}`).toBe(0);
  }
  // Whoever asks all the same is refused.
  const asked = await member.request.post(`${app.url}/api/trpc/subscription.portal`, {
    data: { json: { organizationId } },
  });
  expect(asked.status()).toBe(403);
  await member.context().close();
});

stretch("a plan that is cancelled in the portal says when it ends, until that is taken back", async () => {
  const ending = owner.getByText(/^Pro ends on/).first();
  await owner.goto(base);
  await openPortal();
  await owner.getByRole("link", { name: "Cancel plan" }).click();
  await owner.getByRole("button", { name: "Cancel plan" }).click();
  await owner.getByText("Your plan will be canceled on").waitFor();
  await owner.getByRole("link", { name: "Return" }).click();
  await shown("the end of the plan", () => ending.isVisible());
  const plan = owner.getByRole("region", { name: "Pro, monthly" });
  await words(plan).toContain("not renewed");

  await openPortal();
  await owner.getByRole("button", { name: "Don’t cancel plan" }).click();
  await owner.getByText("Your plan renews on").waitFor();
  await owner.getByRole("link", { name: "Return" }).click();
  await shown("the renewal of the plan", async () => (await plan.textContent())?.includes("renews on") === true);
  expect(await ending.count()).toBe(0);
});

stretch("a stranger is told nothing, with the link or without it", async () => {
  const stranger = await newVisitor(browser);
  for (const url of [base, successUrl]) {
    await stranger.goto(url);
    expect(new URL(stranger.url()).pathname, "somebody who is not signed in").toBe("/signin");
    expect(await stranger.content()).not.toContain(ORGANIZATION);
  }
  await signIn(stranger, STRANGER);
  await stranger.waitForURL(`${app.url}/new`);
  for (const url of [base, `${base}/credits`, `${base}/history`, `${base}/settings`, `${base}/plans`, successUrl]) {
    const response = await stranger.goto(url);
    expect(response?.status(), url).toBe(404);
    await stranger.getByRole("heading", { name: "You cannot see this organization" }).waitFor();
    expect(await stranger.content(), url).not.toContain(ORGANIZATION);
  }
  await expectLawfulLedger(world.sql, organizationId);
  await stranger.context().close();
});

// ── Steps ────────────────────────────────────────────────────────────────────────────────────────────────────

async function signIn(page: Page, email: string): Promise<void> {
  await page.goto(`${app.url}/signin`);
  await askForLink(page, email);
  await followMail(page, mailbox, email, /Sign in to/);
}

async function askForLink(page: Page, email: string): Promise<void> {
  await type(page.getByLabel("Email"), email);
  await press(page.getByRole("button", { name: "Email me a sign-in link" }));
  await page.getByText("Check your mail").waitFor();
}

/** The answer to one of the overview's questions. */
function answerTo(page: Page, question: string) {
  return page.locator("dl.answers > div").filter({ hasText: question }).locator("dd").first();
}

async function openPortal(): Promise<void> {
  await press(owner.getByRole("button", { name: "Manage billing" }));
  await owner.getByRole("heading", { name: "Manage your billing" }).waitFor();
}

/** Looks at the overview again and again, as somebody would who has just come back from the portal. */
async function shown(what: string, look: () => Promise<boolean>): Promise<void> {
  await until(`the overview shows ${what}`, async () => {
    await owner.goto(base);
    await owner.getByRole("region", { name: "Pro, monthly" }).waitFor();
    return look();
  });
}

/** Until all that Stripe has to say was delivered and dealt with. */
async function untilStripeIsHeard(): Promise<void> {
  await until("every event is delivered and processed", async () => {
    const response = await fetch(`${world.sandbox.url}/_sandbox/deliveries?limit=1`);
    const { pending } = (await response.json()) as { pending: number };
    const open = await world.sql("SELECT 1 FROM stripe_events WHERE status IN ('received', 'processing', 'failed')");
    return pending === 0 && open.length === 0;
  });
}

/** Runs the service to its end. @returns what came of each piece of work */
async function runService(work: { eventName: string; quantity: number; idempotencyKey: string }[]): Promise<unknown[]> {
  const script = "tests/e2e/support/service.ts";
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", script, JSON.stringify(work)], {
    cwd: ROOT,
    env: childEnv({
      BILLFOLD_URL: app.url,
      BILLFOLD_API_KEY: apiKey,
      ORGANIZATION_ID: organizationId,
    }) as NodeJS.ProcessEnv,
    timeout: 60_000,
  });
  return JSON.parse(stdout) as unknown[];
}
