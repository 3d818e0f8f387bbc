// A gift on its way: made on the credits page, its link opened by somebody else, who signs in and claims it for one of theirs.
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createOrganization } from "~/server/billing/organizations";
import type { App } from "../setup/app";
import { addLot, WEBHOOK_SECRET } from "../setup/billing";
import { launchBrowser } from "../setup/browser";
import { createPerson } from "../setup/tenancy";
import { sessionCookie } from "./support/sessions";
import { newVisitor, untilAlive } from "./support/visitors";
import { openWorld, type World } from "./support/world";

let world: World;
let app: App;
let browser: Browser;

beforeAll(async () => {
  world = await openWorld();
  app = await world.startInstance({ webhookSecret: WEBHOOK_SECRET });
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser?.close();
  await world?.close();
});

async function signIn(page: Page, userId: string): Promise<void> {
  const cookie = await sessionCookie(userId);
  await page.context().addCookies([{ ...cookie, url: app.url, httpOnly: true, sameSite: "Lax" }]);
}

test("a gift is made, opened, claimed for the organization that was chosen, and told to its giver", async () => {
  const now = new Date();
  const [giver, receiver] = [await createPerson({ name: "Grace" }), await createPerson({ name: "Rosa" })];
  const from = await createOrganization({ name: "Giving Ltd", owner: giver.userId, now });
  await createOrganization({ name: "First of Rosa", owner: receiver.userId, now });
  const second = await createOrganization({ name: "Second of Rosa", owner: receiver.userId, now });
  await addLot({ organizationId: from.id, amount: 1000, at: now });

  const page = await newVisitor(browser);
  await signIn(page, giver.userId);
  await page.goto(`${app.url}/${from.slug}/billing/credits`);
  const opener = page.getByRole("button", { name: "Make a gift" });
  await untilAlive(opener);
  await opener.click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Credits").fill("400");
  await dialog.getByLabel("Message").fill("Welcome");
  await dialog.getByRole("button", { name: "Make gift" }).click();
  const link = await dialog.getByLabel("Link of the gift").inputValue();
  await dialog.getByRole("button", { name: "Done" }).click();
  const gifts = page.getByRole("region", { name: "Gifts" });
  await gifts.getByRole("cell", { name: /^open, ends/ }).waitFor();

  const other = await newVisitor(browser);
  const path = new URL(link).pathname;
  await other.goto(app.url + path);
  await other.getByRole("heading", { name: "Credits from Giving Ltd" }).waitFor();
  const signInHref = await other.getByRole("main").getByRole("link", { name: "Sign in to claim" }).getAttribute("href");
  expect(new URL(signInHref ?? "", app.url).searchParams.get("callbackUrl")).toBe(path);
  await signIn(other, receiver.userId);
  await other.goto(app.url + path);
  await untilAlive(other.getByRole("button", { name: "Claim credits" }));
  await other.getByLabel("Organization").selectOption({ label: "Second of Rosa" });
  await other.getByRole("button", { name: "Claim credits" }).click();
  await other.waitForURL(`**/${second.slug}/billing/credits`);
  await other.getByText("purchase 1000, from Giving Ltd").locator("visible=true").first().waitFor();
  await other.goto(app.url + path);
  await other.getByRole("heading", { name: "This gift was claimed already" }).waitFor();

  await page.reload();
  await gifts.getByRole("cell", { name: "claimed by Second of Rosa" }).waitFor();
  expect(await gifts.getByRole("button", { name: /^Cancel/ }).count()).toBe(0);
  await Promise.all([page.context().close(), other.context().close()]);
});
