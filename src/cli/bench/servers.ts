// The servers that the bench asks over HTTP: ours as `npm start` runs it, and the two that do nothing.
import { join } from "node:path";
import { SERVER_FLAGS } from "../build";
import { childEnv } from "../child-env";
import type { Children } from "../children";
import { ROOT } from "../demo-state";
import { untilAnswers } from "../http";
import { findFreePort } from "../ports";
import type { ServerName } from "./cells";
import { noopNextCommand } from "./noop";
import type { Plan } from "./plan";

export type RunningServer = { port: number; pid: number };

type Settings = {
  databaseUrl: string;
  connections: number;
  servers: Plan["servers"];
  directory: string;
  children: Children;
};

const DOOR_SERVER = join(ROOT, "src", "cli", "bench", "door-server.ts");
const SERVE = join(ROOT, "src", "cli", "serve.ts");

export async function startServer(name: ServerName, settings: Settings): Promise<RunningServer> {
  const { children, directory } = settings;
  const port = await findFreePort();
  const command = commandOf(name, port, settings);
  const child = await children.spawn({ name, ...command, logFile: join(directory, `${name}.log`) });
  await untilAnswers(`http://127.0.0.1:${port}/api/trpc/nothing`, child, `The server ${name}`);
  return { port, pid: child.pid };
}

function commandOf(name: ServerName, port: number, { databaseUrl, connections, servers }: Settings) {
  if (name === "noopNext") return noopNextCommand(port);
  const env = serverEnv(port, databaseUrl, connections);
  const script = name === "ours" && servers === "built" ? SERVE : DOOR_SERVER;
  return {
    command: process.execPath,
    args: [...SERVER_FLAGS, script, "-H", "127.0.0.1"],
    cwd: ROOT,
    env: name === "noopDoor" ? { ...env, BENCH_ROUTER: "noop" } : env,
  };
}

/** What the app must be told in production, for a server that talks to nobody but its database. */
export function serverEnv(port: number, databaseUrl: string, connections: number): NodeJS.Dict<string> {
  return childEnv({
    NODE_ENV: "production",
    PORT: String(port),
    DATABASE_URL: databaseUrl,
    DATABASE_POOL: String(connections),
    // Jobs by the clock would be measured with whatever cell happens to run.
    BILLFOLD_WORKER: "off",
    NEXTAUTH_URL: `http://localhost:${port}`,
    NEXTAUTH_SECRET: "a-secret-of-the-bench-and-of-nobody-else",
    STRIPE_SECRET_KEY: "sk_test_bench",
  });
}
