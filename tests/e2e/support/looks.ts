// Every page as people meet it: on a desk and on a phone, light and dark. It fits, says nothing to the console, has one
// title, has nothing that axe would object to, and the keyboard reaches what the page is for.
import axe from "axe-core";
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { App } from "../../setup/app";
import { WEBHOOK_SECRET } from "../../setup/billing";
import { launchBrowser } from "../../setup/browser";
import { sessionCookie } from "./sessions";
import { makeTenantToLookAt, type TenantToLookAt } from "./tenant-to-look-at";
import { until } from "./until";
import { newVisitor, pictured, untilAlive } from "./visitors";
import { openWorld, type World } from "./world";

interface Look {
  name: string;
  options: BrowserContextOptions;
}

type Width = "1440 px" | "390 px";

const desk = { viewport: { width: 1440, height: 900 } };
const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

// Two of them from elsewhere, with other words for dates and numbers than the server's.
const LOOKS: Look[] = [
  { name: "1440 px, light", options: { ...desk, colorScheme: "light", timezoneId: "America/Los_Angeles" } },
  { name: "1440 px, dark", options: { ...desk, colorScheme: "dark", timezoneId: "Europe/Berlin", locale: "de-DE" } },
  { name: "390 px, light", options: { ...phone, colorScheme: "light", timezoneId: "Asia/Kolkata", locale: "en-IN" } },
  { name: "390 px, dark", options: { ...phone, colorScheme: "dark" } },
];

interface Sight {
  name: string;
  path: (tenant: TenantToLookAt) => string | Promise<string>;
  /** Who looks; the owner, unless told otherwise. */
  as?: "nobody" | "admin";
  /** What is pressed first, so that what it opens is looked at. */
  opens?: (page: Page) => Locator;
  /** What the page is for. */
  primary: (page: Page) => Locator;
  /** Part of the page that comes after it, and belongs to what is looked at. */
  also?: (page: Page) => Locator;
  /** Keeps the page from going on by itself while it is looked at. */
  stays?: RegExp;
  status?: number;
}

const button = (name: string | RegExp) => (page: Page) => page.getByRole("button", { name }).first();
const link = (name: string | RegExp) => (page: Page) => page.getByRole("main").getByRole("link", { name }).first();

const SIGHTS: Sight[] = [
  { name: "the public plans", as: "nobody", path: () => "/", primary: button("Choose Pro") },
  { name: "the public plans of somebody who is signed in", path: () => "/", primary: button("Choose Pro") },
  { name: "signing in", as: "nobody", path: () => "/signin", primary: button("Email me a sign-in link") },
  { name: "a new organization", path: () => "/new", primary: button("Create organization") },
  {
    name: "an invitation",
    as: "nobody",
    path: ({ invited }) => invitationOf(invited),
    primary: link("Sign in to accept"),
  },
  {
    name: "a gift",
    as: "nobody",
    path: ({ giftPath }) => giftPath,
    primary: link("Sign in to claim"),
  },
  {
    name: "a gift for one of several organizations",
    path: ({ giftPath }) => giftPath,
    primary: button(/^Claim /),
    also: (page) => page.getByText("Thank you for the beta"),
  },
  {
    name: "the credits with a gift being made",
    path: ({ slug }) => `/${slug}/billing/credits`,
    opens: button("Make a gift"),
    primary: (page) => page.getByRole("dialog").getByRole("button", { name: "Make gift" }),
  },
  { name: "the overview", path: ({ slug }) => `/${slug}/billing`, primary: link("Buy credits") },
  {
    name: "the overview of an organization that has nothing yet",
    path: ({ emptySlug }) => `/${emptySlug}/billing`,
    primary: link("Choose a plan"),
  },
  {
    name: "the overview of an organization in trouble",
    path: ({ troubledSlug }) => `/${troubledSlug}/billing`,
    primary: link("Buy credits"),
    also: (page) => page.getByText("1,500 credits are owed.").or(page.getByText("1.500 credits are owed.")),
  },
  {
    name: "the credits of an organization in trouble",
    path: ({ troubledSlug }) => `/${troubledSlug}/billing/credits`,
    primary: link("Buy credits"),
    also: (page) => page.getByText("Spending is suspended."),
  },
  { name: "the plans", path: ({ slug }) => `/${slug}/billing/plans`, primary: button("Cancel plan") },
  {
    name: "the plans with a change being looked at",
    path: ({ slug }) => `/${slug}/billing/plans?plan=scale&interval=month`,
    primary: button(/^Change to Scale and pay/),
    also: (page) => page.getByText("Right after the change"),
  },
  {
    name: "the plans with the end of one being asked about",
    path: ({ slug }) => `/${slug}/billing/plans`,
    opens: button("Cancel plan"),
    primary: (page) => page.getByRole("alertdialog").getByRole("button", { name: /^Cancel on/ }),
  },
  {
    name: "the plans with a pause being asked about",
    path: ({ slug }) => `/${slug}/billing/plans`,
    opens: button("Pause"),
    primary: (page) => page.getByRole("alertdialog").getByRole("button", { name: "Pause Pro" }),
  },
  {
    name: "the overview of an organization whose payment failed",
    path: ({ overdueSlug }) => `/${overdueSlug}/billing`,
    primary: button("Pay now"),
  },
  {
    name: "the history with an invoice to pay",
    path: ({ overdueSlug }) => `/${overdueSlug}/billing/history`,
    primary: (page) => page.getByRole("button", { name: /^Pay / }).locator("visible=true").first(),
  },
  {
    name: "the event log with an event open",
    as: "admin",
    path: ({ quarantinedEvent }) => `/admin/webhooks?event=${quarantinedEvent}`,
    primary: (page) => page.getByRole("dialog").getByRole("button", { name: "Replay" }),
    also: (page) => page.getByText(/^One event is quarantined|events are quarantined/),
  },
  {
    name: "the reconciliation",
    as: "admin",
    path: () => "/admin/reconciliation",
    primary: button("Run now"),
    also: (page) => page.getByText("Drift of the last run"),
  },
  {
    name: "the plans of an organization that has none",
    path: ({ emptySlug }) => `/${emptySlug}/billing/plans`,
    primary: button(/^(Subscribe|Start trial)/),
  },
  { name: "the credits", path: ({ slug }) => `/${slug}/billing/credits`, primary: link("Buy credits") },
  {
    name: "the credits with a transaction open",
    path: ({ slug, transactionId }) => `/${slug}/billing/credits?transaction=${transactionId}`,
    primary: (page) => page.getByRole("dialog").getByRole("button", { name: "Copy link" }),
    also: (page) => page.getByRole("region", { name: /paid for it$/ }),
  },
  {
    name: "the credits with a hold being released",
    path: ({ slug }) => `/${slug}/billing/credits`,
    opens: button("Release the hold of batch-worker"),
    primary: (page) => page.getByRole("alertdialog").getByRole("button", { name: "Release 50 credits" }),
  },
  {
    name: "the usage",
    path: ({ slug }) => `/${slug}/billing/usage`,
    primary: button("Choose days"),
    also: (page) => page.getByRole("table", { name: /^Credits by Event/ }),
  },
  {
    name: "the usage by key, of days of one's own",
    path: ({ slug }) => `/${slug}/billing/usage?range=7d&by=key`,
    opens: button("Choose days"),
    primary: (page) => page.getByRole("dialog").getByRole("button", { name: "Show these days" }),
  },
  {
    name: "the usage of an organization that has used nothing",
    path: ({ emptySlug }) => `/${emptySlug}/billing/usage`,
    primary: button("Choose days"),
    also: (page) => page.getByText("No credits were used in this time"),
  },
  { name: "the history", path: ({ slug }) => `/${slug}/billing/history`, primary: link(/^PDF of/) },
  { name: "the settings", path: ({ slug }) => `/${slug}/billing/settings`, primary: button("Create API key") },
  {
    name: "the settings with a budget being made",
    path: ({ slug }) => `/${slug}/billing/settings`,
    opens: button("Create budget"),
    primary: (page) => page.getByRole("dialog").getByRole("button", { name: "Create budget" }),
  },
  {
    name: "the settings with a budget being changed",
    path: ({ slug }) => `/${slug}/billing/settings`,
    opens: button("Change the budget of atlas"),
    primary: (page) => page.getByRole("dialog").getByRole("button", { name: "Change limit" }),
    also: (page) => page.getByText("80 credits are used this month"),
  },
  {
    name: "a checkout that was paid",
    path: ({ slug, paidSession }) => `/${slug}/billing/checkout?session=${paidSession}`,
    primary: link("Go to the overview"),
    also: (page) => page.getByText("Credits to spend now"),
    stays: /\/billing\?_rsc=/,
  },
  {
    name: "a checkout whose payment takes days",
    path: ({ slug, awaitedSession }) => `/${slug}/billing/checkout?session=${awaitedSession}`,
    primary: link("Go to the overview"),
    also: (page) => page.getByText("Your payment is on its way"),
  },
  {
    name: "a checkout that has expired",
    path: ({ slug, expiredSession }) => `/${slug}/billing/checkout?session=${expiredSession}`,
    primary: link("Try again"),
  },
  {
    name: "an organization of others",
    path: () => "/nobody-knows/billing",
    primary: link("Go to the start"),
    status: 404,
  },
];

let world: World;
let app: App;
let browser: Browser;
let tenant: TenantToLookAt;

/** Tests that look at every page at one width, light and dark. */
export function lookAtEverything(width: Width): void {
  beforeAll(async () => {
    const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
    world = await openWorld({ since: daysAgo(33) });
    tenant = await makeTenantToLookAt(world, daysAgo(33), daysAgo(24));
    app = await world.startInstance({ webhookSecret: WEBHOOK_SECRET });
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    await world?.close();
  });

  const looks = LOOKS.filter((look) => look.name.startsWith(width));
  describe.each(looks.map((look) => [look.name, look.options] as const))("at %s", (name, options) => {
    let owner: Page;
    let admin: Page;
    let nobody: Page;

    beforeAll(async () => {
      const visitor = () => newVisitor(browser, calm(options));
      [owner, admin, nobody] = await Promise.all([visitor(), visitor(), visitor()]);
      const signIn = async (page: Page, userId: string) => {
        const cookie = await sessionCookie(userId);
        await page.context().addCookies([{ ...cookie, url: app.url, httpOnly: true, sameSite: "Lax" }]);
      };
      await Promise.all([signIn(owner, tenant.ownerId), signIn(admin, tenant.adminId)]);
    });

    afterAll(async () => {
      await Promise.all([owner, admin, nobody].map((page) => page?.context().close()));
    });

    test.each(SIGHTS.map((sight) => [sight.name, sight] as const))("%s", async (_name, sight) => {
      const page = { nobody, admin, owner }[sight.as ?? "owner"];
      await pictured(browser, `${sight.name} ${name}`, () => lookAt(page, sight));
    });
  });
}

/** Nothing that moves while it is looked at. */
function calm(options: BrowserContextOptions): BrowserContextOptions {
  return { ...options, reducedMotion: "reduce" };
}

async function lookAt(page: Page, sight: Sight): Promise<void> {
  const complaints: string[] = [];
  page.removeAllListeners("console").removeAllListeners("pageerror");
  page.on("pageerror", (error) => complaints.push(`thrown: ${error.message}`));
  page.on("console", (message) => {
    // The page itself, where it is rightly a 404.
    if (sight.status && message.text().includes(`status of ${sight.status}`)) return;
    if (["error", "warning"].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  if (sight.stays) await page.route(sight.stays, () => {});

  const response = await page.goto(app.url + (await sight.path(tenant)));
  expect(response?.status()).toBe(sight.status ?? 200);
  if (sight.opens) {
    await untilAlive(sight.opens(page));
    await sight.opens(page).click();
  }
  const primary = sight.primary(page);
  await untilAlive(primary);
  await sight.also?.(page).waitFor();
  await page.evaluate(() => document.fonts.ready.then(() => undefined));

  expect(await page.locator("h1").count(), "titles of the first rank").toBe(1);
  expect(await overflowOf(page), "what is wider than the window").toEqual([]);
  expect(await objectionsOf(page), "what axe objects to").toEqual([]);
  expect(await isReachedByTab(page, primary), "the keyboard reaches what the page is for").toBe(true);
  expect(complaints, "what the page said to the console").toEqual([]);
  if (sight.stays) await page.unrouteAll({ behavior: "ignoreErrors" });
}

/** Parts that reach beyond the window, unless something around them scrolls. */
function overflowOf(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const root = document.documentElement;
    if (root.scrollWidth <= root.clientWidth) return [];
    const wide = [...document.body.querySelectorAll("*")].filter(
      (element) => element.getBoundingClientRect().right > root.clientWidth + 1,
    );
    return [
      `${root.scrollWidth} px in ${root.clientWidth}`,
      ...wide.slice(-5).map((element) => element.outerHTML.slice(0, 160)),
    ];
  });
}

async function objectionsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const engine = (window as unknown as { axe: typeof axe }).axe;
    const { violations } = await engine.run(document, { resultTypes: ["violations"] });
    return violations.flatMap(({ id, help, nodes }) =>
      nodes.map((node) => `${id}: ${help}: ${node.html.slice(0, 200)} ${node.any[0]?.message ?? ""}`),
    );
  });
}

// More than a page has places to stop at.
const MOST_STOPS = 120;

async function isReachedByTab(page: Page, target: Locator): Promise<boolean> {
  await page.evaluate(() => {
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  });
  for (let stop = 0; stop < MOST_STOPS; stop++) {
    await page.keyboard.press("Tab");
    if (await target.evaluate((element) => element === document.activeElement)) return true;
  }
  return false;
}

/** Where the mail with an invitation leads. */
function invitationOf(address: string): Promise<string> {
  return until("the invitation is mailed", async () => {
    const response = await fetch(`${world.sandbox.url}/_sandbox/mails?to=${encodeURIComponent(address)}`);
    const [mail] = (await response.json()) as { links: string[] }[];
    const [first] = mail?.links ?? [];
    return first ? new URL(first).pathname : null;
  });
}
