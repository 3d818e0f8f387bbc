// The line between the app and Stripe. It breaks calls as networks and Stripe do: before the work is done, or after it, when
// only the answer is lost. What it does to a call follows from a seed, and from which call of its kind it is: calls that are made
// at the same time arrive in any order.
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Sandbox } from "~/sandbox/index";
import { Chance } from "./chance";

export type CallFault =
  | "reset"
  | "answer lost"
  | "429"
  | "500"
  | "lock timeout"
  | "html"
  | "truncated"
  | "no error in it";

const CALL_FAULTS: readonly CallFault[] = [
  "reset",
  "answer lost",
  "429",
  "500",
  "lock timeout",
  "html",
  "truncated",
  "no error in it",
];

const HTML = "<html><head><title>502 Bad Gateway</title></head><body>upstream</body></html>";

export interface Line {
  url: string;
  /** Of all calls, the share that fails; 0 for a line that is whole. */
  share: number;
  /** Nobody answers at all: Stripe is away. */
  cut: boolean;
  /** Stripe has forgotten its events, as after thirty days: its list of them is empty. */
  forgetful: boolean;
  calls: number;
  /** How often each fault happened. */
  faults: Partial<Record<CallFault, number>>;
  close(): Promise<void>;
}

interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return {
    status,
    headers: { "content-type": "application/json", ...headers },
    body: Buffer.from(JSON.stringify(body)),
  };
}

/** What Stripe would say instead of doing it; null where the work is done first. */
function refusal(fault: CallFault): Answer | null {
  if (fault === "429") {
    return json(
      429,
      { error: { type: "invalid_request_error", code: "rate_limit", message: "Too many requests." } },
      { "stripe-rate-limited-reason": "global-rate", "stripe-should-retry": "false" },
    );
  }
  if (fault === "500") return json(500, { error: { type: "api_error", message: "An unknown error occurred." } });
  if (fault === "lock timeout") {
    return json(409, {
      error: {
        type: "invalid_request_error",
        code: "lock_timeout",
        message: "This object cannot be accessed right now.",
      },
    });
  }
  if (fault === "html") return { status: 502, headers: { "content-type": "text/html" }, body: Buffer.from(HTML) };
  if (fault === "no error in it") return json(500, { message: "Internal Server Error" });
  return null;
}

/** Opens a line to a sandbox of this process. */
export async function openLine({ url: target, listener }: Sandbox, seed: string): Promise<Line> {
  const { hostname, port } = new URL(target);

  function forward(incoming: IncomingMessage, body: Buffer): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const headers = { ...incoming.headers, host: `${hostname}:${port}` };
      const outgoing = ask({ hostname, port, path: incoming.url, method: incoming.method, headers }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () => {
          const kept = Object.entries(answer.headers).filter(
            ([name]) => name !== "connection" && name !== "transfer-encoding",
          );
          resolve({
            status: answer.statusCode ?? 500,
            headers: Object.fromEntries(kept.map(([name, value]) => [name, String(value)])),
            body: Buffer.concat(chunks),
          });
        });
        answer.on("error", reject);
      });
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }

  function send(response: ServerResponse, { status, headers, body }: Answer): void {
    response.writeHead(status, { ...headers, "content-length": body.length }).end(body);
  }

  const made = new Map<string, number>();

  /** What happens to a call, if anything does. */
  function drawFault({ method, url = "" }: IncomingMessage): CallFault | null {
    // Queries name organizations and instants.
    const kind = `${method} ${url.split("?")[0]}`;
    const turn = (made.get(kind) ?? 0) + 1;
    made.set(kind, turn);
    if (line.share === 0) return null;
    const chance = new Chance(`${seed} ${kind} ${turn}`);
    return chance.happens(line.share) ? chance.pick(CALL_FAULTS) : null;
  }

  const server = createServer(async (incoming, response) => {
    line.calls += 1;
    if (line.cut) {
      response.destroy();
      return;
    }
    if (line.forgetful && incoming.method === "GET" && /^\/v1\/events(\?|$)/.test(incoming.url ?? "")) {
      send(response, json(200, { object: "list", url: "/v1/events", data: [], has_more: false }));
      return;
    }
    const fault = drawFault(incoming);
    if (fault) line.faults[fault] = (line.faults[fault] ?? 0) + 1;
    if (fault === "reset") {
      response.destroy();
      return;
    }
    const refused = fault ? refusal(fault) : null;
    if (refused) {
      send(response, refused);
      return;
    }
    if (!fault) {
      listener(incoming, response);
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const answer = await forward(incoming, Buffer.concat(chunks));
    if (fault === "answer lost") response.destroy();
    else {
      // Truncated: half of what was announced, and then nothing more.
      response.writeHead(answer.status, { ...answer.headers, "content-length": answer.body.length });
      response.write(answer.body.subarray(0, Math.floor(answer.body.length / 2)), () => response.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  const line: Line = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    share: 0,
    cut: false,
    forgetful: false,
    calls: 0,
    faults: {},
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return line;
}
