// From a request's headers to who sent it. Knows no framework, so that it works wherever there are `Headers`.
import { getToken } from "next-auth/jwt";
import { authenticateApiKey } from "../billing/api-keys";
import { asPlatform } from "../db";
import { env, isConfiguredAdmin } from "../env";
import type { Actor, Person } from "./actor";

/** The headers of a request as far as they are read here: the web's `Headers` will do. */
export type RequestHeaders = Pick<Headers, "get">;

/** Whether cookies may travel over TLS only; they do wherever the app is served by https. */
export function usesSecureCookies(): boolean {
  return env().NEXTAUTH_URL.startsWith("https://");
}

/** NextAuth's own name for the session cookie. */
export function sessionCookieName(): string {
  return `${usesSecureCookies() ? "__Secure-" : ""}next-auth.session-token`;
}

/**
 * Who sent a request: the service whose API key it carries, or the person whose session cookie it carries, or null for nobody.
 * @throws BillingError UNAUTHENTICATED for a key that is wrong or revoked: whoever sends one does not mean to be nobody
 */
export async function actorFromHeaders(headers: RequestHeaders, now: Date): Promise<Actor | null> {
  const authorization = headers.get("authorization")?.trim();
  if (authorization && /^bearer\b/i.test(authorization)) {
    const key = await authenticateApiKey(authorization.slice("bearer".length).trim(), now);
    const { id, name, organizationId, isUnverified } = key;
    return { kind: "service", apiKeyId: id, keyName: name, organizationId, isUnverified };
  }
  return personFromHeaders(headers);
}

/** The person whose session cookie a request carries; null without one, or where it is forged, outdated or of a deleted person. */
export async function personFromHeaders(headers: RequestHeaders): Promise<Person | null> {
  const cookies = sessionCookies(headers.get("cookie") ?? "");
  if (Object.keys(cookies).length === 0) return null;
  const token = await getToken({
    // Its types name two frameworks; it reads no more than these two fields.
    req: { cookies, headers: {} } as unknown as Parameters<typeof getToken>[0]["req"],
    secret: env().NEXTAUTH_SECRET,
    cookieName: sessionCookieName(),
  });
  return typeof token?.userId === "string" ? findPerson(token.userId) : null;
}

/** A person as the database has them now, or null. */
export async function findPerson(userId: string): Promise<Person | null> {
  const user = await asPlatform((tx) =>
    tx.user.findUnique({
      where: { id: userId },
      select: { id: true, email: true, name: true, isPlatformAdmin: true },
    }),
  );
  if (!user) return null;
  return {
    kind: "person",
    userId: user.id,
    email: user.email,
    name: user.name,
    isPlatformAdmin: user.isPlatformAdmin || isConfiguredAdmin(user.email),
  };
}

/** The session cookie, which NextAuth splits into `.0`, `.1`, … where it grows beyond what a browser keeps. */
function sessionCookies(header: string): Record<string, string> {
  const name = sessionCookieName();
  const found: Record<string, string> = {};
  for (const pair of header.split(";")) {
    const at = pair.indexOf("=");
    const key = pair.slice(0, at).trim();
    if (at > 0 && (key === name || (/^\.\d{1,2}$/.test(key.slice(name.length)) && key.startsWith(name)))) {
      found[key] = pair.slice(at + 1).trim();
    }
  }
  return found;
}
