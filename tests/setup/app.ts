// The built app and the Stripe sandbox as real servers, for tests that need them whole: browsers, webhooks, crashes.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureBuild, PUBLIC_ENV, serveArguments } from "~/cli/build";
import { childEnv } from "~/cli/child-env";
import { ROOT } from "~/cli/demo-state";
import { untilAnswers } from "~/cli/http";
import { findFreePort } from "~/cli/ports";
import { endGroup, signalGroup, spawnLogged } from "~/cli/processes";
import { StepError } from "~/cli/progress";
import { recordRunChild } from "~/cli/test-postgres";
import { startSandbox } from "~/sandbox/index";

const STOP_GRACE_MS = 10_000;

export type AppOptions = {
  databaseUrl: string;
  stripe: { secretKey: string; webhookSecret: string; apiBase: string };
  smtpUrl?: string | null;
  /** A free one when left out. An app that is started again after `kill()` wants the same one. */
  port?: number;
  /** On top of everything else; undefined takes a variable away. */
  env?: NodeJS.Dict<string>;
};

export type App = {
  url: string;
  port: number;
  webhookUrl: string;
  pid: number;
  /** What the app has written until now. */
  log(): string;
  /** Asks it to end, as a deployment does. */
  stop(): Promise<void>;
  /** Ends it as a power cut does. */
  kill(): Promise<void>;
};

/** Starts the app on a free port with only the given environment. Builds it first unless this content is built already. */
export async function startApp(options: AppOptions): Promise<App> {
  await ensureBuild().catch(withLog);
  const port = options.port ?? (await findFreePort());
  const directory = mkdtempSync(join(process.env.BILLFOLD_TEST_RUN_DIR ?? tmpdir(), "billfold-app-"));
  const logFile = join(directory, "app.log");
  const child = await spawnLogged({
    name: "app",
    command: process.execPath,
    args: serveArguments(port),
    cwd: ROOT,
    env: appEnv(options, port),
    logFile,
  });
  const forget = recordRunChild(child);
  const killNow = () => signalGroup(child.pid, "SIGKILL");
  process.once("exit", killNow);
  const ended = async () => {
    await child.exited;
    process.removeListener("exit", killNow);
    forget();
    rmSync(directory, { recursive: true, force: true });
  };
  const stop = async () => {
    await endGroup(child.pid, STOP_GRACE_MS);
    await ended();
  };
  const kill = async () => {
    killNow();
    await ended();
  };
  const url = `http://localhost:${port}`;
  try {
    await untilAnswers(`http://127.0.0.1:${port}/signin`, child, "The app");
  } catch (error) {
    const log = readFileSync(logFile, "utf8");
    await kill();
    throw new Error(`${(error as Error).message}\n${log}`);
  }
  const log = () => {
    try {
      return readFileSync(logFile, "utf8");
    } catch {
      return "";
    }
  };
  return { url, port, webhookUrl: `${url}/api/billing/webhook/stripe`, pid: child.pid, log, stop, kill };
}

/** A test runner shows an error's message only. */
function withLog(error: unknown): never {
  if (error instanceof StepError) throw new Error(`${error.message}\n${error.details.log ?? ""}`);
  throw error;
}

/** The environment that the app would have in production, of which nothing comes from the developer's own. */
export function appEnv(options: AppOptions, port: number): NodeJS.Dict<string> {
  return childEnv({
    NODE_ENV: "production",
    DATABASE_URL: options.databaseUrl,
    STRIPE_SECRET_KEY: options.stripe.secretKey,
    STRIPE_WEBHOOK_SECRET: options.stripe.webhookSecret,
    STRIPE_API_BASE: options.stripe.apiBase,
    NEXTAUTH_URL: `http://localhost:${port}`,
    NEXTAUTH_SECRET: "a-secret-of-the-tests-and-of-nobody-else",
    SMTP_URL: options.smtpUrl ?? "",
    EMAIL_FROM: "Billfold <billing@billfold.test>",
    ...PUBLIC_ENV,
    ...options.env,
  });
}

/** Stripe for one test file: its own world, its own port, its own mailbox. */
export async function startSandboxForTests({ secretKey = "sk_test_of_the_tests" } = {}) {
  const sandbox = await startSandbox({ port: 0, smtpPort: 0, secretKey });
  return { ...sandbox, secretKey };
}
