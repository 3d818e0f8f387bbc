// The fast door against the route that Next serves: every request, good, bad or odd, has the same answer at both.
import { createServer, type IncomingHttpHeaders, request as openRequest, type Server } from "node:http";
import { connect } from "node:net";
import { createTRPCClient, httpBatchLink } from "@trpc/client";
import { encode } from "next-auth/jwt";
import superjson from "superjson";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createDoor } from "~/server/api/door";
import type { AppRouter } from "~/server/api/root";
import { publicProcedure, router } from "~/server/api/trpc";
import { sessionCookieName } from "~/server/auth/session";
import { createApiKey } from "~/server/billing/api-keys";
import { close, listen } from "../setup/auth-server";
import { addLot, expectLawfulLedger, openLedger, quietLogs, readLedger, serveApi } from "../setup/billing";
import { createTenant, NOW } from "../setup/tenancy";

const SECRET = "a secret that is long enough for tests";

/** One of the two ways in, with a tenant of its own that is in the same state as the other's. */
interface Side {
  url: string;
  organizationId: string;
  key: string;
  platformKey: string;
  cookie: string;
  strangerId: string;
}

interface Sent {
  method?: string;
  path: string;
  headers?: Headers;
  body?: string | Buffer;
}

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

let app: Awaited<ReturnType<typeof openLedger>>;
let api: Awaited<ReturnType<typeof serveApi>>;
let doorServer: Server;
let route: Side;
let door: Side;

beforeAll(async () => {
  quietLogs();
  app = await openLedger({ NEXTAUTH_SECRET: SECRET });
  api = await serveApi();
  const handle = createDoor();
  doorServer = createServer((request, response) => void handle(request, response));
  route = await openSide(api.url);
  door = await openSide(await listen(doorServer));
});

afterAll(async () => {
  await close(doorServer);
  await api.close();
  await app.close();
});

async function openSide(url: string): Promise<Side> {
  const [tenant, stranger] = [await createTenant("Northwind"), await createTenant("Stranger")];
  const keyOf = async (organizationId: string | null) =>
    (await createApiKey({ organizationId, name: "service", createdById: null, now: NOW })).key;
  for (const { id } of [tenant, stranger]) await addLot({ organizationId: id, amount: 1000 });
  const token = await encode({ token: { userId: tenant.owner.userId }, secret: SECRET });
  return {
    url,
    organizationId: tenant.id,
    key: await keyOf(tenant.id),
    platformKey: await keyOf(null),
    cookie: `${sessionCookieName()}=${token}`,
    strangerId: stranger.id,
  };
}

/** Sends exactly what it is told; `fetch` would put things right. */
function send(url: string, { method = "GET", path, headers = {}, body }: Sent): Promise<Answer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const outgoing = openRequest({ hostname, port, method, path, headers: { ...length, ...headers } }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("error", reject);
      incoming.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text });
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** What must be the same: all but the ids and instants, which each side has its own of. */
function comparable({ status, headers, text }: Answer): unknown {
  const plain = text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "an id")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z/g, "an instant")
    .replaceAll(/[a-z0-9-]*northwind[a-z0-9-]*/g, "a slug");
  const lines = plain.split("\n").map((line) => (line === "" ? "" : parsed(line)));
  return { status, type: headers["content-type"], vary: headers.vary, lines };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────

type Headers = Record<string, string>;
type For<T> = T | ((side: Side) => T);

const valueFor = <T extends string | Headers>(value: For<T>, side: Side): T =>
  typeof value === "function" ? value(side) : value;

const JSON_TYPE = { "content-type": "application/json" };
const JSONL = { "trpc-accept": "application/jsonl" };
const CONSUME = "credits.consume";
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const byPlatform = (side: Side) => bearer(side.platformKey);
const byCookie = (side: Side) => ({ cookie: side.cookie });

/** A GET, by the service's key unless the headers say otherwise. */
function asks(target: For<string>, headers: For<Headers> = {}) {
  return (side: Side): Sent => ({
    path: `/api/trpc/${valueFor(target, side)}`,
    headers: { ...bearer(side.key), ...valueFor(headers, side) },
  });
}

/** The same by somebody else than the service, or by nobody. */
function asksAs(headers: For<Headers>, target: For<string>) {
  return (side: Side): Sent => ({ path: `/api/trpc/${valueFor(target, side)}`, headers: valueFor(headers, side) });
}

/** A POST by the service's key. */
function posts(path: string, body: (side: Side) => string | Buffer, headers: For<Headers> = {}) {
  return (side: Side): Sent => ({
    method: "POST",
    path: `/api/trpc/${path}`,
    headers: { ...JSON_TYPE, ...bearer(side.key), ...valueFor(headers, side) },
    body: body(side),
  });
}

const sends = (body: string | Buffer, headers: Headers = {}) => posts(CONSUME, () => body, headers);

const own = ({ organizationId }: Side) => ({ organizationId });
const foreign = ({ strangerId }: Side) => ({ organizationId: strangerId });

const take = (side: Side, idempotencyKey: string, change: object = {}) => {
  return { ...own(side), eventName: "api_call_basic", quantity: 1, idempotencyKey, ...change };
};

/** A POST of one take. */
const takes = (idempotencyKey: string, change: object = {}, headers: For<Headers> = {}) =>
  posts(CONSUME, (side) => packed(take(side, idempotencyKey, change)), headers);

const gift = (side: Side) => {
  const expiresAt = new Date("2990-01-01");
  return { ...own(side), amount: 5, source: "promotion", reason: "x", idempotencyKey: "g", expiresAt };
};

const packed = (input: unknown) => superjson.stringify(input);
const packedAll = (inputs: Record<number, unknown>) =>
  JSON.stringify(
    Object.fromEntries(Object.entries(inputs).map(([index, input]) => [index, superjson.serialize(input)])),
  );
const encoded = encodeURIComponent;

const queryOf = (name: string, input: (side: Side) => unknown) => (side: Side) =>
  `${name}?input=${encoded(packed(input(side)))}`;
const batchOf = (names: string, inputs: (side: Side) => Record<number, unknown>) => (side: Side) =>
  `${names}?batch=1&input=${encoded(packedAll(inputs(side)))}`;
const raw = (names: string, input: unknown, rest = "") => `${names}?${rest}input=${encoded(JSON.stringify(input))}`;

const BALANCE = queryOf("credits.balance", own);
const BOTH = "credits.balance,credits.balance";
const from = (site: string) => ({ "sec-fetch-site": site });
const twice = (side: Side) => ({ 0: superjson.serialize(own(side)), 1: superjson.serialize(own(side)) });
const foreigns = (side: Side) => ({ 0: foreign(side) });
const withMeta = (meta: object) => (side: Side) => raw("credits.balance", { json: own(side), meta });
const FORM = '--x\r\ncontent-disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n';

/** A take in whose metadata there is a byte that belongs to no text. */
function takeWithByte(side: Side): Buffer {
  const [before = "", after = ""] = packed(take(side, "byte", { metadata: { text: "@" } })).split("@");
  return Buffer.concat([Buffer.from(before), Buffer.from([0xff]), Buffer.from(after)]);
}

/** Each with the status that both must give. */
const REQUESTS: [what: string, status: number, request: (side: Side) => Sent][] = [
  // Queries
  ["a public query", 200, asksAs({}, "plans.list")],
  [
    "a public query with an input",
    200,
    asksAs(
      {},
      queryOf("plans.list", () => ({ currency: "usd" })),
    ),
  ],
  [
    "a public query with an input that is wrong",
    400,
    asksAs(
      {},
      queryOf("plans.list", () => ({ currency: 7 })),
    ),
  ],
  ["a query by key", 200, asks(BALANCE)],
  ["a query with a JSON content type", 200, asks(BALANCE, JSON_TYPE)],
  ["a query with a content type of text", 200, asks(BALANCE, { "content-type": "text/plain" })],
  ["a query with a form's content type", 405, asks(BALANCE, { "content-type": "multipart/form-data; boundary=x" })],
  ["a query that is not encoded", 200, asks((side) => `credits.balance?input=${packed(own(side))}`)],
  ["a query with blanks as pluses", 200, asks((side) => BALANCE(side).replace("%3A", "%3A+"))],
  ["a query with an input of nothing", 400, asks("credits.balance?input=")],
  ["a query without its input", 400, asks("credits.balance")],
  ["a query with an empty question", 400, asks("credits.balance?")],
  ["a query with a broken input", 400, asks("credits.balance?input=%7B%22json")],
  ["a query whose percent signs are broken", 400, asks("credits.balance?input=%E0%A4%A")],
  ["a query with other bytes than text", 400, asks("credits.balance?input=%FF%FE")],
  ["a query with JSON's null for input", 400, asks("credits.balance?input=null")],
  ["a query with null inside", 400, asks(queryOf("credits.balance", () => null))],
  ["a query with a number for input", 400, asks("credits.balance?input=7")],
  ["a query with its input twice", 200, asks((side) => `${BALANCE(side)}&input=7`)],
  ["a query with more in its address", 200, asks((side) => `${BALANCE(side).replace("?", "?x=1&")}&y=2`)],
  ["a query with broken connection parameters", 400, asks((side) => `${BALANCE(side)}&connectionParams=x`)],
  ["a query with an id that says to be a date", 400, asks(withMeta({ values: { organizationId: ["Date"] }, v: 1 }))],
  ["a query with an id of no known type", 400, asks(withMeta({ values: { organizationId: ["what"] } }))],
  ["a page of a list", 200, asks(queryOf("credits.transactions", (side) => ({ ...own(side), limit: 5 })))],
  ["a page that is too long", 400, asks(queryOf("credits.transactions", (side) => ({ ...own(side), limit: 5000 })))],
  ["somebody else's organization", 403, asks(queryOf("credits.balance", foreign))],
  ["an organization that is none", 400, asks(queryOf("credits.balance", () => ({ organizationId: "x" })))],
  ["a query as nobody", 401, asksAs({}, BALANCE)],
  ["a query with a key that is nonsense", 401, asks(BALANCE, bearer("nonsense"))],
  ["a public query with a key that is nonsense", 401, asks("plans.list", bearer("nonsense"))],
  ["a query with a key that was never made", 401, asks(BALANCE, bearer(`bf_live_${"x".repeat(32)}`))],
  ["a query with another kind of authorization", 401, asks(BALANCE, { authorization: "Basic eDp5" })],
  ["a query by the platform", 200, asks(BALANCE, byPlatform)],
  ["a query by cookie", 200, asksAs(byCookie, BALANCE)],
  [
    "a query by one cookie of several",
    200,
    asksAs(({ cookie }) => ({ cookie: `a=b; ${cookie}; c=d` }), "organizations.list"),
  ],
  ["a query by a forged cookie", 401, asksAs(({ cookie }) => ({ cookie: `${cookie}x` }), BALANCE)],
  ["a cookie from another site", 401, asksAs((side) => ({ ...byCookie(side), ...from("cross-site") }), BALANCE)],
  ["a cookie from the same site", 200, asksAs((side) => ({ ...byCookie(side), ...from("same-origin") }), BALANCE)],
  ["a key from another site", 200, asks(BALANCE, from("cross-site"))],
  ["a query by a service that is for people", 403, asks("organizations.list")],
  // Batches of queries
  ["a batch of queries", 200, asks(batchOf("credits.balance,plans.list", (side) => ({ 0: own(side), 1: {} })))],
  ["a batch that says so last", 200, asks((side) => `${raw(BOTH, twice(side))}&batch=1`)],
  ["a batch of one", 200, asks(batchOf("credits.balance", (side) => ({ 0: own(side) })))],
  ["a batch with a failing member", 207, asks(batchOf("plans.list,credits.balance", (side) => ({ 1: foreign(side) })))],
  ["a batch of failures alike", 403, asks(batchOf(BOTH, (side) => ({ 0: foreign(side), 1: foreign(side) })))],
  ["a batch without input", 207, asks("plans.list,credits.balance?batch=1")],
  ["a batch with indexes too many", 200, asks(batchOf("credits.balance", (side) => ({ 0: own(side), 1: 1, 7: 1 })))],
  ["a batch with an index missing", 207, asks(batchOf(BOTH, (side) => ({ 0: own(side) })))],
  ["a batch whose input is a list", 400, asks((side) => raw(BOTH, Object.values(twice(side)), "batch=1&"))],
  ["a batch whose input is null", 400, asks(raw(BOTH, null, "batch=1&"))],
  [
    "a batch in which one input cannot be read",
    400,
    asks((side) => raw(BOTH, { ...twice(side), 1: null }, "batch=1&")),
  ],
  ["a batch with an unknown procedure", 207, asks(batchOf("credits.balance,no.such", (side) => ({ 0: own(side) })))],
  ["a batch with a name left empty", 207, asks(batchOf("credits.balance,", (side) => ({ 0: own(side) })))],
  ["a batch of a query and a mutation", 400, asks(batchOf(`credits.balance,${CONSUME}`, (side) => ({ 0: own(side) })))],
  ["two names where no batch was asked for", 404, asks(queryOf(BOTH, own))],
  ["a batch by another number", 404, asks((side) => raw(BOTH, twice(side), "batch=2&"))],
  ["a batch with a comma that is encoded", 200, asks((side) => raw(encoded(BOTH), twice(side), "batch=1&"))],
  // Mutations
  ["a take", 200, takes("one")],
  ["the same take again", 200, takes("one")],
  ["the same key for another take", 409, takes("one", { quantity: 2 })],
  ["a take with metadata", 200, takes("two", { metadata: { text: "grüße 👋", n: 1.5, on: true, none: null } })],
  ["a take of more than there is", 402, takes("much", { quantity: 5000 })],
  ["a take of an unknown event", 404, takes("what", { eventName: "no_such" })],
  ["a take of less than nothing", 400, takes("less", { quantity: -1 })],
  ["a take of no number", 400, takes("nan", { quantity: Number.NaN })],
  ["a take with a key of 10 kB", 400, takes("k".repeat(10_000))],
  ["a take as nobody", 401, takes("nobody", {}, { authorization: "" })],
  ["a take by cookie", 200, takes("cookie", {}, (side) => ({ ...byCookie(side), authorization: "" }))],
  ["a take with a character set", 200, takes("set", {}, { "content-type": "application/json; charset=utf-8" })],
  ["a take after a byte order mark", 200, posts(CONSUME, (side) => `\uFEFF${packed(take(side, "bom"))}`)],
  ["a take with blanks around it", 200, posts(CONSUME, (side) => ` \n${packed(take(side, "blanks"))}\n `)],
  ["a take with a byte that is no text", 200, posts(CONSUME, takeWithByte)],
  [
    "a take that says a field twice",
    200,
    posts(CONSUME, (side) => packed(take(side, "twice")).replace('"quantity"', '"quantity":9,"quantity"')),
  ],
  ["a take with input in its address too", 200, posts(`${CONSUME}?input=7`, (side) => packed(take(side, "address")))],
  ["a take with fields that nobody knows", 200, takes("more", { isAdmin: true })],
  ["a grant by a service", 403, posts("credits.grant", (side) => packed(gift(side)))],
  ["a grant by the platform", 200, posts("credits.grant", (side) => packed(gift(side)), byPlatform)],
  [
    "a batch of takes",
    200,
    posts(
      `${CONSUME},${CONSUME}?batch=1`,
      (side) => packedAll({ 0: take(side, "batch"), 1: { ...take(side, "batch"), ...foreign(side) } }),
      byPlatform,
    ),
  ],
  [
    "a batch of takes, some refused",
    207,
    posts(`${CONSUME},${CONSUME},${CONSUME}?batch=1`, (side) =>
      packedAll({
        0: take(side, "m0"),
        1: take(side, "m1", { quantity: 0 }),
        2: take(side, "m2", { eventName: "no" }),
      }),
    ),
  ],
  [
    "a batch of takes, all refused",
    402,
    posts(`${CONSUME},${CONSUME}?batch=1`, (side) =>
      packedAll({ 0: take(side, "r0", { quantity: 5000 }), 1: take(side, "r1", { quantity: 5000 }) }),
    ),
  ],
  [
    "a batch of takes that is broken off",
    400,
    posts(`${CONSUME},${CONSUME}?batch=1`, (side) => packedAll({ 0: take(side, "b0") }).slice(0, -5)),
  ],
  // Bodies that are none
  ["a body that is broken off", 400, sends('{"json":{')],
  ["no body", 400, sends("")],
  ["a body of null", 400, sends("null")],
  ["a body of a number", 400, sends("7")],
  ["a body of a text", 400, sends('"hello"')],
  ["a body of a list", 400, sends("[]")],
  ["a body without superjson's envelope", 400, posts(CONSUME, (side) => JSON.stringify(take(side, "bare")))],
  ["a body of other bytes than text", 400, sends(Buffer.from([0x7b, 0xff, 0xfe, 0x7d]))],
  ["a body beyond the limit", 413, takes("huge", { metadata: { a: "x".repeat(1_100_000) } })],
  ["a body below the limit, with too much in it", 400, takes("large", { metadata: { a: "x".repeat(900_000) } })],
  // Content types and methods
  ["a take with an empty content type", 415, takes("none", {}, { "content-type": "" })],
  ["a take as text", 415, takes("text", {}, { "content-type": "text/plain" })],
  ["a take as a form", 415, sends("a=b", { "content-type": "application/x-www-form-urlencoded" })],
  ["a take as a form of parts", 400, sends(FORM, { "content-type": "multipart/form-data; boundary=x" })],
  ["a take as bytes", 400, sends("abc", { "content-type": "application/octet-stream" })],
  ["a take by GET", 405, asks(queryOf(CONSUME, (side) => take(side, "get")))],
  ["a query by POST", 405, posts("credits.balance", (side) => packed(own(side)))],
  ["a batch of queries by POST", 405, posts(`${BOTH}?batch=1`, (side) => packedAll({ 0: own(side) }))],
  ["HEAD", 204, (side) => ({ ...asks("plans.list")(side), method: "HEAD" })],
  // Addresses
  ["an unknown procedure", 404, asks("no.such")],
  ["an unknown mutation", 404, posts("credits.steal", () => packed({}))],
  ["an unknown procedure with a broken body", 404, posts("credits.steal", () => "{")],
  ["a router's name", 404, asks("credits")],
  ["no name at all", 404, asks("")],
  ["the prototype for a procedure", 404, asks("__proto__")],
  ["a constructor for a procedure", 404, asks("constructor.prototype")],
  ["what every object has for a procedure", 404, asks("credits.toString")],
  ["a batch with the prototype in it", 404, asks("__proto__,hasOwnProperty?batch=1")],
  ["a slash at the end", 200, asks("plans.list/")],
  ["two slashes at the end", 404, asks("plans.list///")],
  ["a path below a procedure", 404, asks("plans.list/x")],
  ["a path that goes up", 404, asks("../trpc/plans.list/x")],
  ["a name that is encoded", 200, asks("plans%2Elist")],
  ["a name whose percent signs are broken", 400, asks("plans.list%E0%A4%A")],
  ["a name that is no text", 400, asks("%ff")],
  ["a mutation whose name is no text", 400, posts("%ED%A0%80", () => packed({}))],
  ["a name with a character that no name has", 404, asks("%00")],
  ["a name in capitals", 404, asks("Plans.List")],
  // Objects that want to be more than they are
  [
    "an input with a prototype",
    400,
    posts(CONSUME, (side) => `{"json":{"__proto__":${JSON.stringify(take(side, "proto"))}}}`),
  ],
  [
    "metadata with a prototype",
    200,
    posts(CONSUME, (side) =>
      packed(take(side, "proto 2", { metadata: { a: 1 } })).replace('"a":1', '"__proto__":{"x":1}'),
    ),
  ],
  [
    "types that reach for the prototype",
    400,
    posts(CONSUME, (side) =>
      JSON.stringify({ json: take(side, "reach"), meta: { values: { "__proto__.x": ["Date"] }, v: 1 } }),
    ),
  ],
  [
    "a batch whose index is the prototype",
    400,
    posts(`${CONSUME}?batch=1`, (side) => `{"__proto__":{"0":${packed(take(side, "proto 3"))}}}`),
  ],
  // Streams
  [
    "a stream of one",
    200,
    asks(
      batchOf("credits.balance", (side) => ({ 0: own(side) })),
      JSONL,
    ),
  ],
  ["a stream by its media type", 200, asks(batchOf("credits.balance", foreigns), { accept: "application/jsonl" })],
  ["a stream that is no batch", 400, asks(BALANCE, JSONL)],
  ["a stream of takes", 200, posts(`${CONSUME}?batch=1`, (side) => packedAll({ 0: take(side, "stream") }), JSONL)],
];

describe("the door answers as the route does:", () => {
  it.each(REQUESTS)("%s", async (_, status, request) => {
    const [theirs, ours] = [await send(route.url, request(route)), await send(door.url, request(door))];
    expect(comparable(ours)).toEqual(comparable(theirs));
    expect(ours.status).toBe(status);
  });

  it("an address that cannot be decoded, in the form of every other failure", async () => {
    const { text } = await send(door.url, { path: "/api/trpc/%ff" });
    expect(JSON.parse(text)).toEqual({
      error: {
        json: {
          message: "The request could not be read.",
          code: -32600,
          data: { code: "BAD_REQUEST", httpStatus: 400, billing: { code: "INVALID_INPUT", details: {} } },
        },
      },
    });
  });

  it("and both have left the same behind", async () => {
    const [theirs, ours] = [
      await readLedger(app.sql, route.organizationId),
      await readLedger(app.sql, door.organizationId),
    ];
    const movements = ({ rows }: typeof ours) =>
      rows.map(({ type, amount, balanceAfter }) => [type, amount, balanceAfter]);
    expect(movements(ours)).toEqual(movements(theirs));
    expect(ours.rows.length).toBeGreaterThan(10);
    await expectLawfulLedger(app.sql, door.organizationId);
  });
});

describe("the door by itself", () => {
  it("answers what tRPC's own client sends without the help of tRPC's handler", async () => {
    const answers: Response[] = [];
    const links = [
      httpBatchLink({
        url: `${door.url}/api/trpc`,
        transformer: superjson,
        headers: bearer(door.key),
        fetch: async (input, init) => {
          const answer = await fetch(input as RequestInfo, init as RequestInit);
          answers.push(answer);
          return answer;
        },
      }),
    ];
    const client = createTRPCClient<AppRouter>({ links });
    await Promise.all([client.credits.balance.query(own(door)), client.plans.list.query()]);
    await client.credits.consume.mutate(take(door, "client"));
    await expect(client.credits.consume.mutate(take(door, "client 2", { quantity: 5000 }))).rejects.toThrow("5000");
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 402]);
    // Only the door says how long an answer is; what goes through a web Response comes in chunks.
    for (const { headers } of answers) expect(headers.get("content-length")).toMatch(/^\d+$/);
  });

  it.each([
    ["OPTIONS", 204, "GET, HEAD, OPTIONS, POST"],
    ["PUT", 405, undefined],
    ["PATCH", 405, undefined],
    ["DELETE", 405, undefined],
    ["TRACE", 405, undefined],
  ])("to %s says %i, as it does for each method that a route has not got", async (method, status, allow) => {
    const answer = await send(door.url, { ...asks("plans.list")(door), method });
    expect([answer.status, answer.headers.allow, answer.text]).toEqual([status, allow, ""]);
  });

  it("reads on after a body beyond the limit, so that the connection can be used again", async () => {
    const { hostname, port } = new URL(door.url);
    const socket = connect(Number(port), hostname);
    const head = ["POST /api/trpc/credits.consume HTTP/1.1", "host: x", "content-type: application/json"];
    socket.write([...head, "transfer-encoding: chunked", "", ""].join("\r\n"));
    const piece = `${(65_536).toString(16)}\r\n${"x".repeat(65_536)}\r\n`;
    for (let sent = 0; sent < 32; sent++) socket.write(piece);
    socket.write("0\r\n\r\n");
    socket.write("GET /api/trpc/no.such HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let text = "";
    for await (const chunk of socket) text += chunk;
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(["413", "404"]);
  });

  it("takes nothing from who goes away in the middle of asking", async () => {
    const before = await readLedger(app.sql, door.organizationId);
    const { hostname, port } = new URL(door.url);
    const socket = connect(Number(port), hostname);
    const body = packed(take(door, "gone"));
    const head = ["POST /api/trpc/credits.consume HTTP/1.1", "host: x", "content-type: application/json"];
    const rest = [`authorization: Bearer ${door.key}`, `content-length: ${body.length}`, "", body.slice(0, -3)];
    const closed = new Promise<void>((resolve) =>
      doorServer.once("connection", (other) => other.once("close", resolve)),
    );
    await new Promise<void>((resolve) => socket.write([...head, ...rest].join("\r\n"), () => resolve()));
    socket.destroy();
    await closed;
    expect((await send(door.url, asks("plans.list")(door))).status).toBe(200);
    expect(await readLedger(app.sql, door.organizationId)).toEqual(before);
  });
});

describe("a door to other procedures", () => {
  let server: Server | undefined;
  afterEach(async () => {
    if (server) await close(server);
  });

  async function openDoor(procedures: Parameters<typeof router>[0], headers?: Headers): Promise<string> {
    const handle = createDoor(router(procedures), headers);
    server = createServer((request, response) => void handle(request, response));
    return listen(server);
  }

  it("runs the calls of a batch at the same time", async () => {
    let meet = () => {};
    const met = new Promise<void>((resolve) => {
      meet = resolve;
    });
    const url = await openDoor({
      waits: publicProcedure.query(() => met.then(() => "met")),
      meets: publicProcedure.query(() => meet()),
    });
    const { status, text } = await send(url, { path: "/api/trpc/waits,meets?batch=1" });
    expect([status, JSON.parse(text)[0]]).toEqual([200, { result: { data: { json: "met" } } }]);
  });

  it("tells a procedure when its caller has gone, and not when the answer is there", async () => {
    const signals: AbortSignal[] = [];
    let heard = () => {};
    const abandoned = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const asked: { now: () => void } = { now: () => {} };
    const arrived = new Promise<void>((resolve) => {
      asked.now = resolve;
    });
    const url = await openDoor({
      quick: publicProcedure.query(({ signal }) => void signals.push(signal as AbortSignal)),
      slow: publicProcedure.query(({ signal }) => {
        signal?.addEventListener("abort", heard);
        asked.now();
        return abandoned;
      }),
    });
    await send(url, { path: "/api/trpc/quick" });
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write("GET /api/trpc/slow HTTP/1.1\r\nhost: x\r\n\r\n");
    await arrived;
    socket.destroy();
    await abandoned;
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  });

  it("hides what is wrong with an answer that cannot be sent, and stays open", async () => {
    const unsendable = {
      toJSON: () => {
        throw new Error("a secret");
      },
    };
    const url = await openDoor({ odd: publicProcedure.query(() => unsendable as unknown as string) }, { "X-Own": "1" });
    for (let attempt = 0; attempt < 2; attempt++) {
      const { status, headers, text } = await send(url, { path: "/api/trpc/odd" });
      expect([status, headers["x-own"], headers["content-type"]]).toEqual([500, "1", "application/json"]);
      expect(JSON.parse(text)).toMatchObject({
        error: { json: { data: { billing: { code: "INTERNAL", details: {} } } } },
      });
      expect(text).not.toContain("secret");
    }
  });
});
