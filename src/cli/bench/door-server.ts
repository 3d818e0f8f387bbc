// A server process with nothing but our door: BENCH_ROUTER=noop puts an empty procedure behind it, app the whole API.
import { createServer } from "node:http";
import { initTRPC } from "@trpc/server";
import superjson from "superjson";
import { createDoor } from "~/server/api/door";
import { NOOP_PROCEDURE } from "./noop";

function noopRouter() {
  const t = initTRPC.create({ transformer: superjson });
  // The input is read, as that of every call is, and taken as it comes.
  const procedure = t.procedure.input((input: unknown) => input).mutation(() => ({ ok: true }));
  return t.router({ [NOOP_PROCEDURE]: procedure });
}

const door = process.env.BENCH_ROUTER === "noop" ? createDoor(noopRouter()) : createDoor();
createServer(door).listen(Number(process.env.PORT), "127.0.0.1");
