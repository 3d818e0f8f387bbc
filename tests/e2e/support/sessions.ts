// People who are signed in already, for tests that are not about signing in.
import { encode } from "next-auth/jwt";
import { sessionCookieName } from "~/server/auth/session";
import { SESSION_SECRET } from "./world";

/** The cookie that the app would have given somebody at sign-in. */
export async function sessionCookie(userId: string): Promise<{ name: string; value: string }> {
  return { name: sessionCookieName(), value: await encode({ token: { userId }, secret: SESSION_SECRET }) };
}
