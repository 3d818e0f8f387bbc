// tRPC over HTTP, for the pages and for services.
import { fetchRequestHandler } from "@trpc/server/adapters/fetch";
import { createContext } from "~/server/api/context";
import { tooLarge } from "~/server/api/errors";
import { appRouter } from "~/server/api/root";
import { readBody } from "~/server/http";

export const runtime = "nodejs";
export const dynamic = "force-dynamic";

// Far above a batch of a hundred calls with full metadata.
const MAX_BODY_BYTES = 1024 * 1024;

async function handler(request: Request): Promise<Response> {
  let limited = request;
  if (request.method === "POST") {
    const body = await readBody(request, MAX_BODY_BYTES);
    if (body === null) return tooLarge();
    limited = new Request(request.url, { method: "POST", headers: request.headers, body, signal: request.signal });
  }
  const response = await fetchRequestHandler({
    endpoint: "/api/trpc",
    req: limited,
    router: appRouter,
    createContext: () => createContext(request.headers),
    allowMethodOverride: false,
  });
  // Without a readable content type tRPC answers in JSON but does not say so.
  if (response.status === 415) response.headers.set("content-type", "application/json");
  return response;
}

export { handler as GET, handler as POST };
