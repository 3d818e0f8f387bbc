// A child process that loads a server over HTTP and costs little itself, because it runs on the server's own cores:
// kept connections, and requests that are put together as text.
import { runCallers } from "./callers";
import { HttpConnection } from "./http-connection";
import { EVENT_NAME, organizationId } from "./ledger-rows";
import { serveTasks } from "./serve-tasks";
import type { HttpTask } from "./tasks";

const run = `${process.pid}-${Date.now().toString(36)}`;
let keys = 0;

/** The text of one request: calls of a procedure, each with a key of its own. */
function requestText({ procedure, apiKey, targets, batch }: HttpTask): string {
  const inputs = Array.from({ length: batch }, () => {
    const id = organizationId(targets.set, 1 + Math.floor(Math.random() * targets.organizations));
    return `{"json":{"organizationId":"${id}","eventName":"${EVENT_NAME}","quantity":1,"idempotencyKey":"bench-${run}-${++keys}"}}`;
  });
  const path = batch === 1 ? procedure : `${Array(batch).fill(procedure).join(",")}?batch=1`;
  const body = batch === 1 ? inputs[0] : `{${inputs.map((input, index) => `"${index}":${input}`).join(",")}}`;
  const authorization = apiKey === null ? "" : `authorization: Bearer ${apiKey}\r\n`;
  // All of it is ASCII, so its length is its bytes.
  return `POST /api/trpc/${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n${authorization}content-length: ${body?.length}\r\n\r\n${body}`;
}

async function measure(task: HttpTask) {
  const { load, port, batch } = task;
  const connections = await Promise.all(Array.from({ length: load.callers }, () => HttpConnection.open(port)));
  try {
    return await runCallers(load, async (caller) => {
      const answer = await connections[caller]?.ask(requestText(task));
      // In a batch, tRPC says 207 as soon as one of the calls has failed.
      if (answer?.status !== 200) throw new Error(`answered with ${answer?.status}: ${answer?.body.slice(0, 500)}`);
      return batch;
    });
  } finally {
    for (const connection of connections) connection.close();
  }
}

serveTasks(async (task) => {
  if (task.kind === "http") return measure(task);
  throw new Error(`this process does not do ${task.kind}`);
});
