// Signing in, through NextAuth's own handler over HTTP: by a mailed link, by GitHub, as somebody of the demo; and what a session is worth.
import { createServer, type Server } from "node:http";
import { NextRequest } from "next/server";
import { encode } from "next-auth/jwt";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { POST } from "~/app/api/auth/[...nextauth]/route";
import { DEMO_PEOPLE } from "~/server/auth/demo-people";
import { authOptions, sameOriginUrl } from "~/server/auth/options";
import { actorFromHeaders } from "~/server/auth/session";
import { asPlatform } from "~/server/db";
import { sendMail } from "~/server/jobs/tasks/send-mail";
import { authServer, close, linkOf, listen, TestBrowser, TestMailbox } from "../setup/auth-server";
import { createPerson, openApp } from "../setup/tenancy";

const SESSION_COOKIE = "next-auth.session-token";
const mailbox = new TestMailbox();
let app: Awaited<ReturnType<typeof openApp>>;
let server: Server;
let origin: string;

beforeAll(async () => {
  server = authServer(() => authOptions());
  origin = await listen(server);
  app = await openApp({
    NEXTAUTH_URL: origin,
    SMTP_URL: await mailbox.open(),
    EMAIL_FROM: "Billfold <billing@billfold.test>",
    PLATFORM_ADMINS: "root@example.com, other@example.com",
    GITHUB_ID: "github-client",
    GITHUB_SECRET: "github-secret",
    BILLFOLD_DEMO: "",
  });
});
afterAll(async () => {
  await close(server);
  await mailbox.close();
  await app.close();
});

/** Asks for a sign-in link in one browser. */
async function askForLink(email: string, browser = new TestBrowser(origin), callbackUrl = "/") {
  const response = await browser.submit("/api/auth/signin/email", { email, callbackUrl });
  return { browser, location: response.headers.get("location") ?? "" };
}

async function signIn(email: string, browser = new TestBrowser(origin)): Promise<TestBrowser> {
  await askForLink(email, browser);
  await browser.get(linkOf(mailbox.latest(email)).href);
  return browser;
}

const whoIs = (browser: TestBrowser) => actorFromHeaders(browser.headers, new Date());

describe("a mailed link", () => {
  it("signs a new person in, once", async () => {
    const { browser, location } = await askForLink("ada@example.com");
    expect(location).toContain("/api/auth/verify-request");
    expect((await browser.get(location)).headers.get("location")).toBe("/signin?sent=1");
    expect(await whoIs(browser)).toBeNull();

    const link = linkOf(mailbox.latest("ada@example.com"));
    await browser.get(link.href);
    expect(await whoIs(browser)).toMatchObject({ kind: "person", email: "ada@example.com", isPlatformAdmin: false });

    const second = new TestBrowser(origin);
    const answer = await second.get(link.href);
    expect(answer.headers.get("location")).toContain("error=Verification");
    expect(await whoIs(second)).toBeNull();
  });

  it("is good for one of two clicks in the same instant", async () => {
    await askForLink("twice@example.com");
    const { href } = linkOf(mailbox.latest("twice@example.com"));
    const browsers = Array.from({ length: 5 }, () => new TestBrowser(origin));
    await Promise.all(browsers.map((browser) => browser.get(href)));
    const people = await Promise.all(browsers.map(whoIs));
    expect(people.filter((person) => person !== null)).toHaveLength(1);
  });

  it("is not in the database in a form that could be used", async () => {
    await askForLink("hashed@example.com");
    const token = linkOf(mailbox.latest("hashed@example.com")).searchParams.get("token");
    const [row] = await asPlatform((tx) =>
      tx.verificationToken.findMany({ where: { identifier: "hashed@example.com" } }),
    );
    expect(token).toMatch(/^[0-9a-f]{64}$/);
    expect(row?.token).toMatch(/^[0-9a-f]{64}$/);
    expect(row?.token).not.toBe(token);
  });

  it("does not sign anybody else in", async () => {
    await askForLink("victim@example.com");
    await askForLink("attacker@example.com");
    const link = linkOf(mailbox.latest("attacker@example.com"));
    link.searchParams.set("email", "victim@example.com");
    const browser = new TestBrowser(origin);
    expect((await browser.get(link.href)).headers.get("location")).toContain("error=Verification");
    expect(await whoIs(browser)).toBeNull();
  });

  it("that has become too old is refused", async () => {
    await askForLink("late@example.com");
    await asPlatform((tx) =>
      tx.verificationToken.updateMany({ where: { identifier: "late@example.com" }, data: { expires: new Date(0) } }),
    );
    const browser = new TestBrowser(origin);
    const answer = await browser.get(linkOf(mailbox.latest("late@example.com")).href);
    expect(answer.headers.get("location")).toContain("error=Verification");
    expect(await whoIs(browser)).toBeNull();
  });

  it("leads to one person, however the address is written", async () => {
    const first = await whoIs(await signIn("grace@example.com"));
    const browser = new TestBrowser(origin);
    await askForLink("  Grace@EXAMPLE.com ", browser);
    await browser.get(linkOf(mailbox.latest("grace@example.com")).href);
    expect(await whoIs(browser)).toEqual(first);
  });

  it("comes in a mail whose text and HTML say the same, and that names the site", async () => {
    await askForLink("reader@example.com");
    const mail = mailbox.latest("reader@example.com");
    const { href, host } = linkOf(mail);
    expect(mail.from?.text).toContain("billing@billfold.test");
    expect(mail.subject).toBe(`Sign in to ${host}`);
    expect(mail.html).toContain(`href="${href.replaceAll("&", "&amp;")}"`);
    expect(mail.text).toContain("It works once, and for one hour.");
  });

  it.each([
    "",
    "nonsense",
    "a@b",
    "a@example.com,evil@example.com",
    'x"@example.com',
    "a@b@example.com",
    "a\r\nbcc:x@example.com",
  ])("is not mailed to what is no address (%#)", async (email) => {
    const before = mailbox.mails.length;
    expect((await askForLink(email)).location).toContain("error=EmailSignin");
    expect(mailbox.mails).toHaveLength(before);
  });

  it("is not mailed a sixth time within minutes", async () => {
    for (let count = 0; count < 5; count++) await askForLink("flood@example.com");
    expect((await askForLink("flood@example.com")).location).toBe(`${origin}/signin?error=TooManyLinks`);
    expect(mailbox.mails.filter((mail) => [mail.to].flat()[0]?.text === "flood@example.com")).toHaveLength(5);
  });

  it("is not mailed for a form that another site has sent", async () => {
    const before = mailbox.mails.length;
    await new TestBrowser(origin).post("/api/auth/signin/email", { email: "ada@example.com" });
    expect(mailbox.mails).toHaveLength(before);
  });

  it("does not lead to another site", async () => {
    const { browser } = await askForLink("wanderer@example.com", new TestBrowser(origin), "https://evil.example/x");
    const link = linkOf(mailbox.latest("wanderer@example.com"));
    expect(link.searchParams.get("callbackUrl")).toBe(origin);
    link.searchParams.set("callbackUrl", "//evil.example/x");
    expect((await browser.get(link.href)).headers.get("location")).toBe(origin);
  });
});

describe("a session", () => {
  it("is a cookie that no script reads and no other site's POST carries", async () => {
    const browser = await signIn("cookie@example.com");
    const cookie = browser.setCookies.findLast((line) => line.startsWith(`${SESSION_COOKIE}=`)) ?? "";
    expect(cookie).toMatch(/; HttpOnly/);
    expect(cookie).toMatch(/; SameSite=Lax/);
    expect(cookie).not.toMatch(/; Secure/);
  });

  it("ends with the person", async () => {
    const browser = await signIn("leaver@example.com");
    await asPlatform((tx) => tx.user.delete({ where: { email: "leaver@example.com" } }));
    expect(await whoIs(browser)).toBeNull();
    expect(await (await browser.get("/api/auth/session")).json()).not.toHaveProperty("user");
  });

  it("ends by signing out", async () => {
    const browser = await signIn("goer@example.com");
    await browser.submit("/api/auth/signout");
    expect(await whoIs(browser)).toBeNull();
  });

  it("knows who runs the platform, by configuration or by the database, as of now", async () => {
    expect(await whoIs(await signIn("root@example.com"))).toMatchObject({ isPlatformAdmin: true });
    const browser = await signIn("promoted@example.com");
    expect(await whoIs(browser)).toMatchObject({ isPlatformAdmin: false });
    const promote = { where: { email: "promoted@example.com" }, data: { isPlatformAdmin: true } };
    await asPlatform((tx) => tx.user.update(promote));
    expect(await whoIs(browser)).toMatchObject({ isPlatformAdmin: true });
  });

  it("tells the browser who it is, without more", async () => {
    const browser = await signIn("self@example.com");
    const session = await (await browser.get("/api/auth/session")).json();
    const { userId } = (await whoIs(browser)) as { userId: string };
    expect(session).toEqual({
      expires: expect.any(String),
      user: { id: userId, name: null, email: "self@example.com" },
    });
  });

  it("that is forged, outdated, or signed with another secret is nobody's", async () => {
    const person = await createPerson();
    const secret = process.env.NEXTAUTH_SECRET ?? "";
    const token = { userId: person.userId };
    const cookie = async (value: string) =>
      actorFromHeaders(new Headers({ cookie: `${SESSION_COOKIE}=${value}` }), new Date());
    expect(await cookie(await encode({ token, secret }))).toMatchObject({ userId: person.userId });
    expect(await cookie(await encode({ token, secret, maxAge: -60 }))).toBeNull();
    expect(await cookie(await encode({ token, secret: "another secret, as long as ours" }))).toBeNull();
    expect(await cookie(await encode({ token: {}, secret }))).toBeNull();
    for (const junk of ["", "x", "a.b.c.d.e", person.userId, "%", "x".repeat(20_000)])
      expect(await cookie(junk)).toBeNull();
  });

  it("gives way to an API key that comes with it, also to a wrong one", async () => {
    const { headers } = await signIn("both@example.com");
    headers.set("authorization", "Bearer bf_live_wrong");
    await expect(actorFromHeaders(headers, new Date())).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
  });
});

describe("GitHub", () => {
  let github: Server;
  let githubServer: Server;
  let githubOrigin: string;
  let account: { id: number; name: string; email: string | null };
  let emails: { email: string; primary: boolean; verified: boolean }[];
  const realFetch = globalThis.fetch;

  beforeAll(async () => {
    github = createServer((request, response) => {
      response.setHeader("content-type", "application/json");
      const answer = request.url === "/token" ? { access_token: "gho_secret", token_type: "bearer" } : account;
      response.end(JSON.stringify(answer));
    });
    const githubUrl = await listen(github);
    // The same settings, with GitHub's addresses exchanged for the stand-in's.
    githubServer = authServer(() => {
      const settings = authOptions();
      for (const provider of settings.providers) {
        if (provider.id !== "github") continue;
        const { options } = provider as { options: { token?: unknown; userinfo: { url: string } } };
        options.token = `${githubUrl}/token`;
        options.userinfo.url = `${githubUrl}/user`;
      }
      return settings;
    });
    githubOrigin = await listen(githubServer);
    // This call is ours, and its address is not part of the settings.
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) =>
      String(input) === "https://api.github.com/user/emails" ? Response.json(emails) : realFetch(input, init),
    );
  });
  afterAll(async () => {
    vi.restoreAllMocks();
    await close(githubServer);
    await close(github);
  });

  async function viaGithub(browser = new TestBrowser(githubOrigin)) {
    const start = await browser.submit("/api/auth/signin/github");
    const state = new URL(start.headers.get("location") ?? "").searchParams.get("state") ?? "";
    const end = await browser.get(`/api/auth/callback/github?${new URLSearchParams({ code: "code", state })}`);
    return { browser, location: end.headers.get("location") ?? "" };
  }

  it("signs in who has a verified address there, as the person of that address", async () => {
    const known = await createPerson({ email: "octo@example.com" });
    account = { id: 1, name: "Octo", email: null };
    emails = [
      { email: "unverified@example.com", primary: false, verified: false },
      { email: "Octo@Example.com", primary: true, verified: true },
    ];
    const { browser } = await viaGithub();
    expect(await whoIs(browser)).toMatchObject({ userId: known.userId });
    const [linked] = await asPlatform((tx) => tx.account.findMany({ where: { userId: known.userId } }));
    expect(linked).toMatchObject({ provider: "github", providerAccountId: "1", access_token: null });
    // And again, by the link.
    expect(await whoIs((await viaGithub()).browser)).toMatchObject({ userId: known.userId });
  });

  it("signs nobody in, and links nothing, by an address that it has not verified", async () => {
    const victim = await createPerson({ email: "target@example.com" });
    account = { id: 2, name: "Mallory", email: "target@example.com" };
    emails = [{ email: "target@example.com", primary: true, verified: false }];
    const { browser, location } = await viaGithub();
    expect(location).toBe(`${origin}/signin?error=EmailNotVerified`);
    expect(await whoIs(browser)).toBeNull();
    expect(await asPlatform((tx) => tx.account.count({ where: { userId: victim.userId } }))).toBe(0);
  });

  it("never ties its account to somebody else who happens to be signed in", async () => {
    const browser = await signIn("host@example.com", new TestBrowser(githubOrigin));
    const host = await whoIs(browser);
    account = { id: 3, name: "Guest\u0000 \u202Etseug", email: "guest@example.com" };
    emails = [{ email: "guest@example.com", primary: true, verified: true }];
    await viaGithub(browser);
    expect(await whoIs(browser)).toMatchObject({ email: "guest@example.com", name: "Guest tseug" });
    const hostId = host?.kind === "person" ? host.userId : "";
    expect(await asPlatform((tx) => tx.account.count({ where: { userId: hostId } }))).toBe(0);
  });

  it("is believed only in the browser that began", async () => {
    account = { id: 4, name: "Forger", email: null };
    emails = [{ email: "forger@example.com", primary: true, verified: true }];
    const begun = new TestBrowser(githubOrigin);
    const start = await begun.submit("/api/auth/signin/github");
    const state = new URL(start.headers.get("location") ?? "").searchParams.get("state") ?? "";
    const other = new TestBrowser(githubOrigin);
    await other.get(`/api/auth/callback/github?${new URLSearchParams({ code: "code", state })}`);
    expect(await whoIs(other)).toBeNull();
  });
});

describe("Google", () => {
  const signInWith = (profile: object | undefined) =>
    authOptions().callbacks?.signIn?.({
      user: { id: "google-user", email: "target@example.com" },
      account: { type: "oauth", provider: "google", providerAccountId: "google-user" },
      profile,
    });

  it("is believed where it says, as a fact, that the address is verified", async () => {
    const profile = { email: "target@example.com", email_verified: true };
    expect(await signInWith(profile)).toBe(true);
    for (const doubt of [{ email_verified: false }, { email_verified: "true" }, { email_verified: undefined }]) {
      expect(await signInWith({ ...profile, ...doubt })).toBe(`${origin}/signin?error=EmailNotVerified`);
    }
    expect(await signInWith({ email_verified: true })).toBe(`${origin}/signin?error=EmailNotVerified`);
    expect(await signInWith(undefined)).toBe(`${origin}/signin?error=EmailNotVerified`);
  });
});

describe("the demo's one click", () => {
  const [person] = DEMO_PEOPLE;
  const email = person?.email ?? "";
  let demoServer: Server | undefined;

  beforeAll(async () => {
    await createPerson({ email, name: person?.name ?? "" });
    await createPerson({ email: "real@example.com" });
  });
  afterEach(async () => {
    if (demoServer) await close(demoServer);
    demoServer = undefined;
    vi.unstubAllEnvs();
    vi.resetModules();
  });

  /** The app as another environment makes it. */
  async function serveWith(environment: Record<string, string>): Promise<string> {
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
    vi.resetModules();
    const { authOptions: freshOptions } = await import("~/server/auth/options");
    demoServer = authServer(() => freshOptions());
    return listen(demoServer);
  }

  async function clickOn(who: string, at: string) {
    const browser = new TestBrowser(at);
    await browser.submit("/api/auth/callback/demo", { email: who });
    return whoIs(browser);
  }

  it("signs in a person of the demo, and nobody else", async () => {
    const at = await serveWith({ BILLFOLD_DEMO: "1" });
    expect(await clickOn(email, at)).toMatchObject({ email, name: person?.name });
    expect(await clickOn("real@example.com", at)).toBeNull();
    expect(await clickOn("root@example.com", at)).toBeNull();
    expect(await clickOn("", at)).toBeNull();
  });

  it.each(["", "0", "true"])("does not exist with BILLFOLD_DEMO=%j", async (value) => {
    const at = await serveWith({ BILLFOLD_DEMO: value });
    expect(await clickOn(email, at)).toBeNull();
    const offered = await (await new TestBrowser(at).get("/api/auth/providers")).json();
    expect(Object.keys(offered as object)).toEqual(["email", "github"]);
  });

  it("is the only way in where nothing else is configured, and offers no way that cannot work", async () => {
    await serveWith({ BILLFOLD_DEMO: "1", SMTP_URL: "", GITHUB_SECRET: "" });
    const { signInMethods } = await import("~/server/auth/providers");
    expect(signInMethods()).toEqual({ email: false, providers: [], demoPeople: DEMO_PEOPLE });
  });

  it("uses cookies that travel over TLS only where the app is served by https", async () => {
    vi.stubEnv("NEXTAUTH_URL", "https://billing.example.com");
    const at = await serveWith({ BILLFOLD_DEMO: "1" });
    const browser = new TestBrowser(at);
    await browser.submit("/api/auth/callback/demo", { email });
    const cookie = browser.setCookies.findLast((line) => line.includes("session-token")) ?? "";
    expect(cookie).toMatch(/^__Secure-next-auth\.session-token=.*; Secure; SameSite=Lax/);
    const { actorFromHeaders: fresh } = await import("~/server/auth/session");
    expect(await fresh(browser.headers, new Date())).toMatchObject({ email });
  });
});

describe("the way back after signing in", () => {
  const base = "https://billing.example.com";
  it.each([
    ["/acme/billing?tab=1#x", `${base}/acme/billing?tab=1#x`],
    [`${base}/acme`, `${base}/acme`],
    ["acme", `${base}/acme`],
  ])("%s is followed", (url, expected) => expect(sameOriginUrl(url, base)).toBe(expected));

  it.each([
    "https://evil.example",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://billing.example.com.evil.example",
    "https://billing.example.com@evil.example",
    "https://billing.example.com:8443/",
    "http://billing.example.com/",
    "javascript:alert(1)",
    "data:text/html,x",
    "blob:https://billing.example.com/x",
    "https://",
  ])("%s is not", (url) => expect(sameOriginUrl(url, base)).toBeNull());
});

describe("the handler's own door", () => {
  const post = (path: string[], body: string, type = "application/json") =>
    POST(
      new NextRequest(`${origin}/api/auth/${path.join("/")}`, {
        method: "POST",
        body,
        headers: { "content-type": type },
      }),
      { params: Promise.resolve({ nextauth: path }) },
    );

  it("lets nobody write into the log, read without end, or trip over a body", async () => {
    const log = vi.spyOn(console, "error");
    expect((await post(["_log"], JSON.stringify({ level: "error", code: "FORGED" }))).status).toBe(204);
    expect(log).not.toHaveBeenCalled();
    expect((await post(["signin", "email"], "x".repeat(20_000), "text/plain")).status).toBe(413);
    expect((await post(["signin", "email"], "{")).status).toBe(400);
    log.mockRestore();
  });
});

describe("the mail job", () => {
  const mail = (to: string) => ({ to, subject: "Hello", text: "Hello", html: "<p>Hello</p>" });

  it("delivers", async () => {
    await sendMail(mail("friend@example.com"));
    expect(mailbox.latest("friend@example.com").subject).toBe("Hello");
  });

  it("fails, to be tried again, while the server is busy, and is done where there is no such mailbox", async () => {
    await expect(sendMail(mail("busy@example.com"))).rejects.toThrow(/try later/);
    await expect(sendMail(mail("nobody@example.com"))).resolves.toBeUndefined();
  });
});
