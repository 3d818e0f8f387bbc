// NextAuth's settings: sessions in a signed cookie that names the person and nothing else, and who may come in.
import type { NextAuthOptions } from "next-auth";
import { now } from "../clock";
import { env, publicUrl } from "../env";
import { log } from "../log";
import { authAdapter, countSignInLinks } from "./adapter";
import { SIGN_IN_LINK_MINUTES } from "./mails";
import { authProviders, NotAnAddress, provesEmail } from "./providers";
import { findPerson, usesSecureCookies } from "./session";

declare module "next-auth/jwt" {
  interface JWT {
    userId?: string;
  }
}

declare module "next-auth" {
  interface Session {
    /** Absent once the person was deleted. */
    user?: { id: string; name: string | null; email: string };
  }
}

const SESSION_DAYS = 30;

/** A person asks again when a mail is slow; a sixth link within minutes is somebody filling another's mailbox. */
const MAX_LINKS = 5;
const LINKS_COUNTED_MINUTES = 15;

/** The settings of NextAuth for this environment. */
export function authOptions(): NextAuthOptions {
  return {
    secret: env().NEXTAUTH_SECRET,
    adapter: authAdapter(),
    providers: authProviders(),
    session: { strategy: "jwt", maxAge: SESSION_DAYS * 24 * 60 * 60 },
    // Its cookies are HttpOnly and SameSite=Lax: another site's POST to the API carries no session.
    useSecureCookies: usesSecureCookies(),
    pages: { signIn: "/signin", verifyRequest: "/signin?sent=1", error: "/signin" },
    logger: {
      error(code, metadata) {
        const cause = causeOf(metadata);
        // A mistyped address is no fault of ours.
        if (!(cause.error instanceof NotAnAddress)) log.error("sign-in failed", { code, ...cause });
      },
      warn: (code) => log.warn("sign-in is configured badly", { code }),
      debug: () => {}, // it would hold tokens
    },
    callbacks: {
      async signIn({ user, account, profile, email }) {
        if (account?.type === "oauth") return provesEmail(profile) || refusal("EmailNotVerified");
        if (email?.verificationRequest) return (await mayMailLink(user.email)) || refusal("TooManyLinks");
        return true;
      },

      // Without NextAuth's own `sub`, somebody who is signed in and comes back from GitHub is looked up by what GitHub
      // says, and never has another person's account there tied to theirs.
      jwt: ({ token, user }) => (user ? { userId: user.id } : token),

      async session({ session, token }) {
        const person = token.userId ? await findPerson(token.userId) : null;
        return {
          expires: session.expires,
          user: person ? { id: person.userId, name: person.name, email: person.email } : undefined,
        };
      },

      redirect: ({ url, baseUrl }) => sameOriginUrl(url, baseUrl) ?? baseUrl,
    },
  };
}

/** The address to go on to after sign-in, or null where it would lead to another site. */
export function sameOriginUrl(url: string, baseUrl: string): string | null {
  try {
    const base = new URL(baseUrl);
    const target = new URL(url, base);
    return target.origin === base.origin && target.protocol === base.protocol ? target.href : null;
  } catch {
    return null;
  }
}

async function mayMailLink(email: string | null | undefined): Promise<boolean> {
  const oldestCounted = now().getTime() - LINKS_COUNTED_MINUTES * 60_000;
  const endingAfter = new Date(oldestCounted + SIGN_IN_LINK_MINUTES * 60_000);
  return (await countSignInLinks(email ?? "", endingAfter)) < MAX_LINKS;
}

/** Back to the sign-in page with a reason. Absolute, because NextAuth's own client takes it apart as a URL. */
function refusal(reason: "EmailNotVerified" | "TooManyLinks"): string {
  return publicUrl(`/signin?error=${reason}`);
}

/** Of what NextAuth would log, the error and the provider; the rest can hold whole profiles. */
function causeOf(metadata: unknown): { error?: unknown; provider?: unknown } {
  if (metadata instanceof Error) return { error: metadata };
  const { error, providerId } = (metadata ?? {}) as { error?: unknown; providerId?: unknown };
  return { error, provider: providerId };
}
