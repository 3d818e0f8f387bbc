// From a request to the context of its procedures.
import { BillingError } from "~/domain/errors";
import { actorFromHeaders } from "../auth/session";
import { now } from "../clock";
import type { Context } from "./trpc";

/** Who calls, and when. Credentials that are no good are told by the procedure, in the contract's form. */
export async function createContext(headers: Headers): Promise<Context> {
  const at = now();
  // A page of another site cannot send our cookie with a POST; should a browser let it, the cookie counts for nothing.
  if (headers.get("sec-fetch-site") === "cross-site" && !headers.has("authorization")) return { actor: null, now: at };
  try {
    return { actor: await actorFromHeaders(headers, at), now: at };
  } catch (error) {
    if (error instanceof BillingError) return { actor: null, refusal: error, now: at };
    throw error;
  }
}
