// tRPC's own handler with our context and limits, on the web's Request and Response: for Next's route, and for whatever
// the door leaves to it.
import type { AnyTRPCRouter } from "@trpc/server";
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { readBody } from "../http";
import { createContext } from "./context";
import { tooLarge, unreadable } from "./errors";
import { appRouter } from "./root";

/** Far above a batch of a hundred calls with full metadata. */
export const MAX_BODY_BYTES = 1024 * 1024;

/** Answers a request to tRPC, whatever it is; a body beyond the limit with 413, an address that cannot be decoded with 400. */
export async function answerRequest(request: Request, router: AnyTRPCRouter = appRouter): Promise<Response> {
  // tRPC would call it a failure of its own.
  if (!isDecodable(new URL(request.url).pathname)) return unreadable();
  let limited = request;
  if (request.method === "POST") {
    const body = await readBody(request, MAX_BODY_BYTES);
    if (body === null) return tooLarge();
    limited = new Request(request.url, { method: "POST", headers: request.headers, body, signal: request.signal });
  }
  const response = await fetchRequestHandler({
    endpoint: "/api/trpc",
    req: limited,
    router,
    createContext: () => createContext(request.headers),
    allowMethodOverride: false,
  });
  // Without a readable content type tRPC answers in JSON but does not say so.
  if (response.status === 415) response.headers.set("content-type", "application/json");
  return response;
}

function isDecodable(path: string): boolean {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
}
