// From a request to the context of its procedures.
import { BillingError } from "~/domain/errors";
import { actorFromHeaders, type RequestHeaders } from "../auth/session";
import { now } from "../clock";
import { log } from "../log";
import type { Context } from "./trpc";

/** Who calls, and when. Credentials that are no good are told by the procedure, in the contract's form. */
export async function createContext(headers: RequestHeaders): Promise<Context> {
  const at = now();
  // A page of another site cannot send our cookie with a POST; should a browser let it, the cookie counts for nothing.
  const isForeign = headers.get("sec-fetch-site") === "cross-site" && headers.get("authorization") === null;
  if (isForeign) return { actor: null, now: at };
  try {
    return { actor: await actorFromHeaders(headers, at), now: at };
  } catch (error) {
    if (error instanceof BillingError) return { actor: null, refusal: error, now: at };
    log.error("who calls could not be told", { error });
    throw error;
  }
}
