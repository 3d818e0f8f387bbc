// How calls share requests: the parts of a queue, and refusals of a request for its size.
import fc from "fast-check";
import superjson from "superjson";
import { afterEach, describe, expect, it, vi } from "vitest";
import { split } from "~/client/batch";
import { billingErrorOf, createBillingClient, type ResultInfo, type RetryInfo } from "~/client/index";

const call = (n: number) => ({ organizationId: "o", eventName: "e", quantity: 1, idempotencyKey: `key ${n}` });
const consumed = { transactionId: "t", consumed: 1, available: 9, allocations: [], replayed: false };

interface Sent {
  paths: string[];
  inputs: { idempotencyKey?: string }[];
  headers: Record<string, string>;
}

/** A server in a function: what was sent to it, and an answer to each request. */
function serverThat(answers: (sent: Sent, number: number) => Response | Promise<Response>) {
  const requests: Sent[] = [];
  const through: typeof fetch = async (input, init) => {
    const url = new URL(String(input));
    const text = init?.method === "POST" ? String(init.body) : (url.searchParams.get("input") ?? "{}");
    const inputs = Object.values(JSON.parse(text) as Record<string, { json: { idempotencyKey?: string } }>);
    const paths = url.pathname.replace("/api/trpc/", "").split(",");
    const sent = { paths, inputs: inputs.map(({ json }) => json), headers: init?.headers as Record<string, string> };
    requests.push(sent);
    return answers(sent, requests.length);
  };
  return { fetch: through, requests };
}

const results = (values: unknown[]) =>
  Response.json(values.map((value) => ({ result: { data: superjson.serialize(value) } })));
const failure = (code: string, httpStatus: number, details: object) => ({
  error: { json: { message: code, data: { httpStatus, billing: { code, details } } } },
});
const clientOf = (server: { fetch: typeof fetch }, options = {}) =>
  createBillingClient({ url: "http://billing", apiKey: "k", fetch: server.fetch, ...options });

afterEach(() => vi.restoreAllMocks());

describe("a queue of calls", () => {
  it("goes in parts, in order and each within the limits, save what is too long by itself", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 30 })),
        fc.integer({ min: 1, max: 10 }),
        fc.integer({ min: 1, max: 60 }),
        (bodies, maxItems, maxLength) => {
          const queue = bodies.map((body) => ({ body, call: { procedure: "p" } }));
          const parts = split(queue, maxItems, maxLength);
          expect(parts.flat()).toEqual(queue);
          for (const part of parts) {
            expect(part.length).toBeGreaterThan(0);
            expect(part.length).toBeLessThanOrEqual(maxItems);
            const length = part.reduce((sum, one) => sum + one.body.length + 1, 0);
            expect(part.length === 1 || length <= maxLength).toBe(true);
          }
        },
      ),
    );
  });

  it("that is refused as too large is sent in halves, and only what is too large by itself fails", async () => {
    const server = serverThat(({ inputs }) =>
      inputs.length > 2 || inputs.some(({ idempotencyKey }) => idempotencyKey === "key 3")
        ? Response.json(failure("PAYLOAD_TOO_LARGE", 413, {}), { status: 413 })
        : results(inputs.map(() => consumed)),
    );
    const client = clientOf(server);
    const settled = await Promise.allSettled(Array.from({ length: 8 }, (_, n) => client.consume(call(n))));
    expect(settled.map(({ status }) => status === "fulfilled")).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((n) => n !== 3));
    const [refused] = settled.filter((result) => result.status === "rejected");
    expect(refused?.reason).toMatchObject({ code: "PAYLOAD_TOO_LARGE", httpStatus: 413, retryable: false });
  });

  it("is cut by length too: questions travel in an address, which must not grow beyond 4 kB", async () => {
    const server = serverThat(({ inputs }) => results(inputs.map(() => ({ items: [], nextCursor: null }))));
    const client = clientOf(server);
    const search = "x".repeat(1000);
    const ask = () => client.trpc.credits.transactions.query({ organizationId: "o", search });
    await Promise.all(Array.from({ length: 7 }, ask));
    expect(server.requests.map(({ paths }) => paths.length)).toEqual([3, 3, 1]);
  });
});

describe("a caller's signal", () => {
  const never = () => new Promise<Response>(() => {});

  it("ends its own call and leaves the others of the request alone", async () => {
    let answer: (response: Response) => void = () => {};
    const server = serverThat(() => new Promise<Response>((resolve) => (answer = resolve)));
    const client = clientOf(server);
    const controller = new AbortController();
    const mine = client.consume(call(1), { signal: controller.signal }).catch((error: unknown) => error);
    const other = client.consume(call(2));
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    controller.abort(new Error("the user left"));
    expect(await mine).toEqual(new Error("the user left"));
    answer(results([consumed, { ...consumed, transactionId: "second" }]));
    expect(await other).toMatchObject({ transactionId: "second" });
  });

  it("of all calls of a request ends the request", async () => {
    const signals: (AbortSignal | null | undefined)[] = [];
    const client = createBillingClient({
      url: "http://billing",
      apiKey: "k",
      fetch: (_, init) => {
        signals.push(init?.signal);
        return never();
      },
    });
    const controller = new AbortController();
    const calls = [1, 2].map((n) => client.consume(call(n), { signal: controller.signal }).catch(() => "ended"));
    await vi.waitFor(() => expect(signals).toHaveLength(1));
    controller.abort();
    expect(await Promise.all(calls)).toEqual(["ended", "ended"]);
    expect(signals[0]?.aborted).toBe(true);
  });

  it("that was given before the call sends nothing, and during a wait ends the wait", async () => {
    const server = serverThat(() => new Response("no", { status: 503, headers: { "retry-after": "20" } }));
    const seen: ResultInfo[] = [];
    const client = clientOf(server, { hooks: { onResult: (result: ResultInfo) => seen.push(result) } });
    await expect(client.consume(call(1), { signal: AbortSignal.abort("early") })).rejects.toBe("early");
    expect(server.requests).toHaveLength(0);
    const controller = new AbortController();
    const waiting = client.consume(call(1), { signal: controller.signal, deadlineMs: 60_000 });
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    setTimeout(() => controller.abort("late"), 20);
    await expect(waiting).rejects.toBe("late");
    expect(seen.map(({ code, attempts }) => [code, attempts])).toEqual([
      ["ABORTED", 1],
      ["ABORTED", 1],
    ]);
  });
});

describe("a server that has too much to do", () => {
  it("is asked again no sooner than it said, and the hooks tell of each try", async () => {
    const times: number[] = [];
    const server = serverThat((_, number) => {
      times.push(performance.now());
      return number === 1
        ? Response.json([failure("OVERLOADED", 503, { retryAfterMs: 150 })], { status: 503 })
        : results([{ ...consumed, replayed: true }]);
    });
    const [retries, ends]: [RetryInfo[], ResultInfo[]] = [[], []];
    const calls = new Set<object>();
    const client = clientOf(server, {
      hooks: {
        onCall: (info: object) => calls.add(info),
        onRetry: (retry: RetryInfo) => retries.push(retry),
        onResult: (result: ResultInfo) => ends.push(result),
      },
    });
    await client.consume(call(1));
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(149);
    const info = { procedure: "credits.consume", kind: "mutation", idempotencyKey: "key 1" };
    expect(retries).toEqual([{ call: info, attempt: 1, code: "OVERLOADED", delayMs: expect.any(Number) }]);
    expect(ends).toEqual([{ call: info, attempts: 2, durationMs: expect.any(Number), code: "OK", replayed: true }]);
    expect(calls.has(retries[0]?.call as object) && calls.has(ends[0]?.call as object)).toBe(true);
  });

  it("is not waited for beyond the deadline: the caller hears at once what it said", async () => {
    const server = serverThat(() =>
      Response.json([failure("OVERLOADED", 503, { retryAfterMs: 60_000 })], { status: 503 }),
    );
    const started = performance.now();
    const error = billingErrorOf(
      await clientOf(server, { deadlineMs: 5_000 })
        .consume(call(1))
        .catch((e: unknown) => e),
    );
    expect(error).toMatchObject({ code: "OVERLOADED", details: { retryAfterMs: 60_000 }, retryable: true });
    expect(performance.now() - started).toBeLessThan(4_000);
    expect(server.requests).toHaveLength(1);
  });

  it("behind a proxy that says when to come back is left alone until then", async () => {
    const times: number[] = [];
    const server = serverThat((_, number) => {
      times.push(performance.now());
      return number === 1
        ? new Response("busy", { status: 429, headers: { "retry-after": "0.12" } })
        : results([consumed]);
    });
    await clientOf(server).consume(call(1));
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(119);
  });
});

describe("an answer", () => {
  it("of a failure is read as it was written: an instant in its details is one", async () => {
    const resetsAt = new Date("2026-04-01T00:00:00Z");
    const data = { httpStatus: 402, billing: { code: "BUDGET_EXCEEDED", details: { limit: 5, resetsAt } } };
    const error = superjson.serialize({ message: "The budget does not cover this.", data });
    const server = serverThat(() => Response.json([{ error }], { status: 402 }));
    const failure = billingErrorOf(
      await clientOf(server)
        .consume(call(1))
        .catch((e: unknown) => e),
    );
    if (failure?.code !== "BUDGET_EXCEEDED") throw failure;
    expect(failure.details.resetsAt).toEqual(resetsAt);
    expect(failure.message).toBe("The budget does not cover this.");
  });

  it("that is somebody else's is not taken for an outage, and not asked for again", async () => {
    const server = serverThat(() => new Response("<h1>Nothing here</h1>", { status: 404 }));
    const error = billingErrorOf(
      await clientOf(server)
        .consume(call(1))
        .catch((e: unknown) => e),
    );
    expect(error).toMatchObject({ code: "UNEXPECTED_ANSWER", httpStatus: 404, retryable: false });
    expect(server.requests).toHaveLength(1);
  });

  it("that never comes ends at the deadline, however many tries are left", async () => {
    const client = createBillingClient({ url: "http://billing", apiKey: "k", fetch: () => new Promise(() => {}) });
    const started = performance.now();
    const options = { timeoutMs: 200, deadlineMs: 300, maxRetries: 1_000 };
    const error = billingErrorOf(await client.consume(call(1), options).catch((e: unknown) => e));
    expect(error?.code).toBe("UNREACHABLE");
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

describe("headers of a service's own", () => {
  it("are asked for once a request, with its calls; hooks that throw change nothing", async () => {
    const server = serverThat(({ inputs }) => results(inputs.map(() => consumed)));
    const client = clientOf(server, {
      headers: (calls: readonly { procedure: string }[]) => ({
        traceparent: `00-${calls.length}`,
        "x-first": calls[0]?.procedure,
      }),
      hooks: {
        onCall: () => {
          throw new Error("mine");
        },
      },
    });
    await Promise.all([client.consume(call(1)), client.consume(call(2))]);
    expect(server.requests.map(({ headers }) => headers)).toEqual([
      {
        "content-type": "application/json",
        authorization: "Bearer k",
        traceparent: "00-2",
        "x-first": "credits.consume",
      },
    ]);
  });

  it("that cannot be made fail the call with their own error, and nothing is sent", async () => {
    const server = serverThat(() => results([consumed]));
    const client = clientOf(server, { headers: () => Promise.reject(new Error("no token")) });
    await expect(client.consume(call(1))).rejects.toThrow("no token");
    expect(server.requests).toHaveLength(0);
  });
});
