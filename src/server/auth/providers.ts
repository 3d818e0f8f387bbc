// The ways to sign in, each offered only where it is configured. All of them prove an email address.
import CredentialsProvider from "next-auth/providers/credentials";
import EmailProvider from "next-auth/providers/email";
import GithubProvider from "next-auth/providers/github";
import GoogleProvider from "next-auth/providers/google";
import type { Provider } from "next-auth/providers/index";
import { asPlatform } from "../db";
import { env } from "../env";
import { canSendMail, deliverMail } from "../mail";
import { DEMO_PEOPLE, type DemoPerson } from "./demo-people";
import { normalizeEmail } from "./email-address";
import { SIGN_IN_LINK_MINUTES, signInMail } from "./mails";

const GITHUB_TIMEOUT_MS = 10_000;

/** What the sign-in page offers. */
export interface SignInMethods {
  email: boolean;
  /** Accounts elsewhere, by NextAuth's id of the provider. */
  providers: { id: "github" | "google"; name: string }[];
  /** One click each; empty outside of the demo. */
  demoPeople: readonly DemoPerson[];
}

/** The ways to sign in that this installation has. */
export function signInMethods(): SignInMethods {
  const { GITHUB_ID, GITHUB_SECRET, GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET } = env();
  const providers: SignInMethods["providers"] = [];
  if (GITHUB_ID && GITHUB_SECRET) providers.push({ id: "github", name: "GitHub" });
  if (GOOGLE_CLIENT_ID && GOOGLE_CLIENT_SECRET) providers.push({ id: "google", name: "Google" });
  return { email: canSendMail(), providers, demoPeople: isDemo() ? DEMO_PEOPLE : [] };
}

/** NextAuth's providers for the ways to sign in that are configured. */
export function authProviders(): Provider[] {
  const { GITHUB_ID, GITHUB_SECRET, GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET } = env();
  return [
    ...(canSendMail() ? [emailLink()] : []),
    ...(GITHUB_ID && GITHUB_SECRET ? [github(GITHUB_ID, GITHUB_SECRET)] : []),
    ...(GOOGLE_CLIENT_ID && GOOGLE_CLIENT_SECRET ? [google(GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET)] : []),
    ...(isDemo() ? [demo()] : []),
  ];
}

function isDemo(): boolean {
  return env().BILLFOLD_DEMO === "1";
}

/** What somebody typed cannot be mailed to. NextAuth shows it as any other failure to send. */
export class NotAnAddress extends Error {
  override readonly name = "NotAnAddress";
}

function emailLink(): Provider {
  return EmailProvider({
    from: env().EMAIL_FROM,
    maxAge: SIGN_IN_LINK_MINUTES * 60,
    normalizeIdentifier(text) {
      const email = normalizeEmail(text);
      if (!email) throw new NotAnAddress("This is not an email address.");
      return email;
    },
    sendVerificationRequest: ({ identifier, url }) => deliverMail(signInMail({ to: identifier, url })),
  });
}

// Linking by address is dangerous where a provider passes on addresses that it has not verified. `provesEmail` refuses
// those before anything is linked; with them refused, one address is one person, whichever way they sign in.
const LINK_BY_VERIFIED_EMAIL = { allowDangerousEmailAccountLinking: true };

function github(clientId: string, clientSecret: string): Provider {
  return GithubProvider({
    clientId,
    clientSecret,
    ...LINK_BY_VERIFIED_EMAIL,
    userinfo: {
      url: "https://api.github.com/user",
      async request({ client, tokens }) {
        const accessToken = tokens.access_token ?? "";
        const profile = await client.userinfo(accessToken);
        const email = await findVerifiedGithubEmail(accessToken);
        return { ...profile, email: email ?? undefined, email_verified: email !== null };
      },
    },
  });
}

/** GitHub's profile does not say whether its address was verified; the list of addresses does. */
async function findVerifiedGithubEmail(accessToken: string): Promise<string | null> {
  const response = await fetch("https://api.github.com/user/emails", {
    headers: { authorization: `Bearer ${accessToken}`, accept: "application/vnd.github+json" },
    signal: AbortSignal.timeout(GITHUB_TIMEOUT_MS),
  });
  if (!response.ok) return null;
  const emails = (await response.json()) as { email: string; primary: boolean; verified: boolean }[];
  return emails.find(({ primary, verified }) => primary && verified)?.email ?? null;
}

function google(clientId: string, clientSecret: string): Provider {
  return GoogleProvider({ clientId, clientSecret, ...LINK_BY_VERIFIED_EMAIL });
}

/** Whether a provider vouches for the address in the profile it sent. */
export function provesEmail(profile: unknown): boolean {
  const { email, email_verified } = (profile ?? {}) as { email?: unknown; email_verified?: unknown };
  return email_verified === true && normalizeEmail(email) !== null;
}

function demo(): Provider {
  return CredentialsProvider({
    id: "demo",
    name: "Demo",
    credentials: { email: { label: "Email", type: "email" } },
    async authorize(credentials) {
      const email = normalizeEmail(credentials?.email);
      if (!email || !isDemo() || !DEMO_PEOPLE.some((person) => person.email === email)) return null;
      return asPlatform((tx) =>
        tx.user.findUnique({ where: { email }, select: { id: true, name: true, email: true } }),
      );
    },
  });
}
