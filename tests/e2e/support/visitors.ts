// People in a real browser, and what tests do with pages again and again.
import { mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Locator, Page } from "playwright-core";
import { expect } from "vitest";
import { until } from "./until";

/** How long a page may take on a slow machine. */
export const PATIENCE_MS = 45_000;

/** Somebody with a browser of their own: own cookies, own window. */
export async function newVisitor(browser: Browser, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ locale: "en-US", timezoneId: "UTC", ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  return context.newPage();
}

/** Runs a part of a test. Where it fails, its error names a picture of every open page. */
export async function pictured(browser: Browser, title: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    const pages = browser.contexts().flatMap((context) => context.pages());
    const notes = await Promise.all(pages.map((page, index) => picture(page, `${title} ${index + 1}`)));
    const { message } = error instanceof Error ? error : new Error(String(error));
    throw new Error([message, ...notes].join("\n"), { cause: error });
  }
}

let pictures: string | undefined;

async function picture(page: Page, title: string): Promise<string> {
  pictures ??= mkdtempSync(join(tmpdir(), "billfold-e2e-"));
  mkdirSync(pictures, { recursive: true });
  const path = join(pictures, `${title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}.png`);
  try {
    await page.screenshot({ path, fullPage: true, timeout: 10_000 });
    return `${page.url()} looked like ${path}`;
  } catch (error) {
    return `${page.url()} could not be pictured: ${(error as Error).message}`;
  }
}

/** Presses something, once the page's code has taken it over from what the server painted: before, it would be lost. */
export async function press(locator: Locator): Promise<void> {
  await untilAlive(locator);
  await locator.click();
}

/** Types into a field, once the page's code has taken it over. */
export async function type(locator: Locator, text: string): Promise<void> {
  await untilAlive(locator);
  await locator.fill(text);
}

/** Until the page's code has taken over what the server painted. */
export async function untilAlive(locator: Locator): Promise<void> {
  await locator.waitFor();
  await until("the page is alive", () =>
    locator.evaluate((element) => Object.keys(element).some((key) => key.startsWith("__reactProps"))),
  );
}

/** The words of a part of the page, as they come to be. */
export function words(locator: Locator) {
  // biome-ignore lint/performance/useDomNodeTextContent: as a person reads them, without what is hidden
  return expect.poll(() => locator.innerText(), { timeout: PATIENCE_MS, interval: 100 });
}

/** Opens the newest mail to somebody in the mailbox page and presses the link in it. */
export async function followMail(page: Page, mailboxUrl: string, to: string, subject: RegExp): Promise<void> {
  const row = page.getByRole("row").filter({ hasText: to }).filter({ hasText: subject }).first();
  await until("the mail arrives", async () => {
    await page.goto(mailboxUrl);
    return row.isVisible();
  });
  await row.getByRole("link").click();
  await page.getByRole("list").getByRole("link").first().click();
}

/** Fills in the card of a page of Stripe's and sends it: the checkout's, unless another button is named. */
export async function payByCard(page: Page, number: string, button = /^(Subscribe|Pay)/): Promise<void> {
  await page.getByLabel("Card number").fill(number);
  await page.getByLabel("Expiration").fill("12 / 34");
  await page.getByLabel("CVC").fill("123");
  await page.getByLabel("Cardholder name").fill("Kaja Fjord");
  await page.getByRole("button", { name: button }).click();
}
