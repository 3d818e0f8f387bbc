// `npm start`: one server for everything. Calls of tRPC go through the door, all the rest through Next.
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import { hostname as machineName } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SECURITY_HEADERS } from "../../next.config.mjs";
import type { WorkerHolder } from "../instrumentation";
import { isReadable } from "./addresses";
import { parsePort } from "./ports";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DEFAULT_PORT = 3000;
// Longer than the minute after which load balancers drop a connection: whoever keeps it longer never writes into a closed one.
const KEEP_ALIVE_MS = 65_000;
// No request takes longer: transactions end by themselves after 20 seconds.
const FINISH_WITHIN_MS = 20_000;
const POLL_MS = 50;
const HEADERS = Object.fromEntries(SECURITY_HEADERS.map(({ key, value }) => [key, value]));

const { values } = parseArgs({
  options: { port: { type: "string", short: "p" }, hostname: { type: "string", short: "H" } },
});

// Before React and Next are loaded, which look at it once.
Object.assign(process.env, { NODE_ENV: "production" });

// Next writes down what nobody caught. Where nobody reads any more, the writing fails, and that would be written down, for ever.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});

let stopping = false;

try {
  await main();
} catch (error) {
  console.error("The server did not start.", error);
  // The worker may run already, and would keep alive a process that answers nobody.
  process.exit(1);
}

async function main(): Promise<void> {
  const port = parsePort(values.port ?? process.env.PORT, DEFAULT_PORT);
  const hostname = values.hostname ?? hostnameFromEnvironment();
  const { default: next } = await import("next");
  const app = next({ dev: false, dir: ROOT, port, hostname });
  // Reads .env files and starts the worker. What is imported after it sees the whole environment.
  await app.prepare();
  const [{ env }, { createDoor }] = await Promise.all([import("~/server/env"), import("~/server/api/door")]);
  // Next only writes down what is missing, and would go on to answer nobody.
  env();
  const door = createDoor(undefined, HEADERS);
  const server = openServer(door, app.getRequestHandler());
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => void stop(server, app));
  await listen(server, port, hostname);
  console.log(`Billfold listens on http://${hostname ?? "localhost"}:${port}`);
}

/** Where to listen; nowhere in particular when containers only say what the machine is called. */
function hostnameFromEnvironment(): string | undefined {
  const { HOSTNAME } = process.env;
  return HOSTNAME && HOSTNAME !== machineName() ? HOSTNAME : undefined;
}

function openServer(door: RequestListener, pages: RequestListener): Server {
  const server = createServer((request, response) => {
    if (stopping) response.shouldKeepAlive = false;
    if (request.url?.startsWith("/api/trpc/")) door(request, response);
    else if (!isReadable(request.url ?? "")) refuse(response);
    else pages(request, response);
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  // Node counts the time between two requests of a connection as time for headers too.
  server.headersTimeout = KEEP_ALIVE_MS + 1000;
  return server;
}

/** Next would call it a failure of its own. */
function refuse(response: ServerResponse): void {
  response.writeHead(400, { ...HEADERS, "content-type": "text/plain; charset=utf-8" });
  response.end("The address could not be read.\n");
}

function listen(server: Server, port: number, hostname: string | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host: hostname }, resolve);
  });
}

/** Takes no more requests, lets those at hand and the worker's jobs finish, and ends. Signals that come again change nothing. */
async function stop(server: Server, app: { close(): Promise<void> }): Promise<void> {
  if (stopping) return;
  stopping = true;
  const late = sleep(FINISH_WITHIN_MS);
  await Promise.race([Promise.all([closed(server), workerEnded()]), late]);
  server.closeAllConnections();
  await Promise.race([app.close(), late]);
  process.exit(0);
}

async function closed(server: Server): Promise<void> {
  // A connection that has had its answer is kept for the next request: there will be none.
  const timer = setInterval(() => server.closeIdleConnections(), POLL_MS);
  await new Promise((resolve) => server.close(resolve));
  clearInterval(timer);
}

/** The worker hears the signal by itself. */
async function workerEnded(): Promise<void> {
  const runner = await (globalThis as WorkerHolder).billfoldWorker;
  await runner?.promise;
}
