// `npm run demo`: the whole of Billfold on this machine, with its own PostgreSQL and its own Stripe, until Ctrl-C.
import { existsSync, readFileSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseEnv } from "node:util";
import { ensureBuild, PUBLIC_ENV, serveArguments } from "./build";
import { childEnv } from "./child-env";
import { Children, endRecorded } from "./children";
import {
  type DemoState,
  demoFileOf,
  forgetState,
  isRunning,
  newState,
  paths,
  ROOT,
  type RunRecord,
  readJson,
  readState,
  type Seed,
  writeJson,
  writeState,
} from "./demo-state";
import { untilAnswers, visit } from "./http";
import { isPortFree, parsePort, preferPort } from "./ports";
import { locateDataDir, type Postgres, removeCluster, serverIdentity, startPostgres, stopLeftover } from "./postgres";
import { type Child, lastLines, signalGroup, startTimeOf } from "./processes";
import { bold, cyan, dim, failureText, Progress, StepError, seconds } from "./progress";
import { applyMigrations, MigrationError } from "./schema-engine";

const DEFAULT_PORT = 3000;
const WARM_UP_PATHS = ["/", "/signin", "/api/auth/providers"];
const EMAIL_FROM = "Billfold <billing@billfold.test>";
const FRESH_HINT = "`npm run demo -- --fresh` forgets this demo's data and starts over.";

export async function main(args: string[]): Promise<number> {
  const unknown = args.filter((arg) => arg !== "--fresh");
  if (unknown.length) {
    console.error(`Unknown: ${unknown.join(" ")}. The demo takes --fresh, and PORT from the environment.`);
    return 1;
  }
  return new Demo(args.includes("--fresh")).run();
}

class Demo {
  private readonly progress = new Progress();
  private readonly children = new Children((children) => this.record(children));
  private readonly startedAt = Date.now();
  private port = DEFAULT_PORT;
  private state: DemoState = newState();
  private postgres: Postgres | undefined;
  private postgresProcess: Child | undefined;
  private sandboxUrl = "";
  private recording = false;

  constructor(private readonly fresh: boolean) {}

  private get url(): string {
    return `http://localhost:${this.port}`;
  }

  /** Comes back only when the demo could not be started or has failed; otherwise a signal ends the process. */
  async run(): Promise<number> {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => this.end(signal));
    try {
      await this.start();
      this.announce();
      return await new Promise<number>(() => {});
    } catch (error) {
      return this.fail(error);
    }
  }

  private async start(): Promise<void> {
    this.port = parsePort(process.env.PORT, DEFAULT_PORT);
    console.log(`\n${bold("Billfold demo")} ${dim(`on Node ${process.versions.node}`)}\n`);
    this.refuseSecond();
    // Before the port is looked at: it may be an earlier demo's app that holds it.
    await this.endLeftovers();
    await this.refuseTakenPort();
    await this.openState();
    // The build needs neither the database nor Stripe, and takes as long as all the rest.
    await Promise.all([this.buildApp(), this.prepareServices()]);
    await this.startApp();
  }

  private refuseSecond(): void {
    const run = readJson<RunRecord>(paths.run);
    if (!isRunning(run)) return;
    throw new StepError(`A demo of this checkout already runs at ${run.url} (process ${run.pid}).`, {
      hint: `Use that one, or stop it with Ctrl-C in its terminal or with: kill ${run.pid}`,
    });
  }

  private async refuseTakenPort(): Promise<void> {
    if (await isPortFree(this.port)) return;
    const next = this.port < 65535 ? this.port + 1 : DEFAULT_PORT;
    throw new StepError(`Port ${this.port} is taken by another program.`, {
      hint: `Choose another one: PORT=${next} npm run demo`,
    });
  }

  /** Ends what a killed demo has left running. */
  private async endLeftovers(): Promise<void> {
    const before = readJson<RunRecord>(paths.run);
    if (before) {
      const ended = await endRecorded(before.children);
      if (ended.length) this.progress.line(dim(`  Ended what an earlier demo had left: ${names(ended)}.`));
      await rm(paths.run, { force: true });
    }
    await stopLeftover(await this.dataDir());
  }

  /** Takes up the kept state, or begins anew: where asked to, and where the seeding before never came to its end. */
  private async openState(): Promise<void> {
    this.recording = true;
    this.record([]);
    // Whoever waits for this file may take it for the sign that everything is ready.
    await rm(paths.demo, { force: true });
    const kept = this.fresh ? null : readState();
    if (kept) {
      this.state = kept;
      return;
    }
    forgetState();
    await removeCluster(await this.dataDir());
  }

  private async dataDir(): Promise<string> {
    return locateDataDir(paths.postgres, await serverIdentity()).dataDir;
  }

  private async buildApp(): Promise<void> {
    const name = existsSync(join(ROOT, ".next", "BUILD_ID"))
      ? "App built"
      : "App built (the first time takes a minute)";
    await this.progress.step(name, async (note) => {
      const { built } = await ensureBuild((options) => this.children.spawn(options));
      if (!built) note("nothing changed");
    });
  }

  private async prepareServices(): Promise<void> {
    await Promise.all([this.startDatabase(), this.startSandbox()]);
    await this.seed();
    await this.registerWebhook();
  }

  private async startDatabase(): Promise<void> {
    await this.progress.step("PostgreSQL", async (note) => {
      this.postgres = await startPostgres({
        dataDir: paths.postgres,
        persistent: true,
        logFile: join(paths.logs, "postgres.log"),
        onSpawn: (server) => {
          this.postgresProcess = server;
          if (this.children.isStopping) signalGroup(server.pid, "SIGINT");
        },
      });
      this.watch("PostgreSQL", this.postgres.exited, this.postgres.logFile);
      note(`port ${this.postgres.port}`);
    });
    if (this.postgres?.notice) this.progress.line(dim(`    ${this.postgres.notice}`));
    await this.progress.step("Migrations", async (note) => {
      const applied = await applyMigrations(this.databaseUrl).catch((error) => {
        const name = error instanceof MigrationError && error.migration ? `Migration ${error.migration}` : "Migrating";
        throw new StepError(`${name} failed.`, { log: (error as Error).message, hint: FRESH_HINT });
      });
      note(applied.length ? `${applied.length} applied` : "up to date");
    });
  }

  private async startSandbox(): Promise<void> {
    await this.progress.step("Stripe sandbox", async (note) => {
      this.state.sandboxPort = await preferPort(this.state.sandboxPort);
      this.state.smtpPort = await preferPort(this.state.smtpPort);
      this.sandboxUrl = `http://127.0.0.1:${this.state.sandboxPort}`;
      await mkdir(paths.sandbox, { recursive: true });
      const env = childEnv({
        SANDBOX_PORT: String(this.state.sandboxPort),
        SANDBOX_SMTP_PORT: String(this.state.smtpPort),
        SANDBOX_DATA_DIR: paths.sandbox,
        STRIPE_SECRET_KEY: this.state.stripeSecretKey,
        NODE_ENV: "production",
      });
      const child = await this.spawnNode("sandbox", ["--import", "tsx", join("src", "sandbox", "main.ts")], env);
      await untilAnswers(`${this.sandboxUrl}/_sandbox/health`, child, "The Stripe sandbox", FRESH_HINT);
      note(`port ${this.state.sandboxPort}`);
    });
  }

  private async seed(): Promise<void> {
    if (this.state.seed) return;
    await this.progress.step("A year of believable data", async () => {
      const env = { ...this.appEnv(), BILLFOLD_SEED_OUTPUT: paths.seed };
      const child = await this.spawnNode("seed", ["--import", "tsx", join("prisma", "seed.ts")], env, {
        watched: false,
      });
      const { code } = await child.exited;
      const seed = readJson<Seed>(paths.seed);
      if (code !== 0 || !seed) throw failedChild(child, "Seeding failed.", FRESH_HINT);
      await rm(paths.seed, { force: true });
      this.state.seed = seed;
    });
  }

  private async registerWebhook(): Promise<void> {
    await this.progress.step("Webhook endpoint", async () => {
      // This process reads the same environment as the app, so that the app's own Stripe client can be used.
      Object.assign(process.env, this.appEnv());
      const [{ stripeForJobs }, { ensureWebhookEndpoint }] = await Promise.all([
        import("~/server/stripe"),
        import("./webhook-endpoint"),
      ]);
      const url = `${this.url}/api/billing/webhook/stripe`;
      this.state.webhook = await ensureWebhookEndpoint(stripeForJobs(), url, this.state.webhook);
      writeState(this.state);
    });
  }

  private async startApp(): Promise<void> {
    await this.progress.step("App", async (note) => {
      const child = await this.spawnNode("app", serveArguments(this.port), this.appEnv());
      await untilAnswers(`http://127.0.0.1:${this.port}/signin`, child, "The app", FRESH_HINT);
      await Promise.all(WARM_UP_PATHS.map((path) => visit(`http://127.0.0.1:${this.port}${path}`)));
      note(`port ${this.port}`);
    });
    if (this.children.isStopping) return;
    const urls = { url: this.url, databaseUrl: this.databaseUrl, stripeApiBase: this.sandboxUrl };
    writeJson(paths.demo, demoFileOf(this.state, urls));
  }

  private announce(): void {
    const slug = this.state.seed?.organizationSlug;
    this.progress.line(`
  ${bold("Billfold is ready")} ${dim(`after ${seconds(Date.now() - this.startedAt)}`)}

    ${cyan(this.url)}

  Sign in   ${this.url}/signin: choose one of the demo persons with one click, or ask for a link
            to any address and open it in the mailbox, ${this.sandboxUrl}/mailbox
  Billing   ${this.url}/${slug}/billing
  Sandbox   ${this.sandboxUrl}: its Stripe, with customers, invoices, a clock, and card 4242 4242 4242 4242
  Keys      ${relative(process.cwd(), paths.demo)}; logs are in ${relative(process.cwd(), paths.logs)}/

  ${bold("Ctrl-C stops everything.")} ${dim("The data stays for the next start; `npm run demo -- --fresh` starts over.")}
`);
  }

  private get databaseUrl(): string {
    if (!this.postgres) throw new Error("PostgreSQL is not started.");
    return this.postgres.url;
  }

  private appEnv(): NodeJS.Dict<string> {
    const own = {
      NODE_ENV: "production",
      PORT: String(this.port),
      DATABASE_URL: this.databaseUrl,
      STRIPE_SECRET_KEY: this.state.stripeSecretKey,
      STRIPE_WEBHOOK_SECRET: this.state.webhook?.secret ?? "",
      STRIPE_API_BASE: this.sandboxUrl,
      NEXTAUTH_URL: this.url,
      NEXTAUTH_SECRET: this.state.nextAuthSecret,
      SMTP_URL: `smtp://127.0.0.1:${this.state.smtpPort}`,
      EMAIL_FROM,
      BILLFOLD_DEMO: "1",
      ...PUBLIC_ENV,
    };
    return childEnv({ ...blankedDotEnv(), ...own });
  }

  private async spawnNode(
    name: string,
    args: string[],
    env: NodeJS.Dict<string>,
    { watched = true } = {},
  ): Promise<Child> {
    const logFile = join(paths.logs, `${name}.log`);
    await rm(logFile, { force: true });
    const child = await this.children.spawn({ name, command: process.execPath, args, env, logFile, cwd: ROOT });
    if (watched) this.watch(name, child.exited, logFile);
    return child;
  }

  /** Something that should run until the end and does not ends the whole demo. */
  private watch(name: string, exited: Child["exited"], logFile: string): void {
    exited.then(async ({ code, signal }) => {
      // A step that waits for this very child has the better explanation: let it speak first.
      await sleep(1000);
      if (this.children.isStopping) return;
      const how = signal ? `by ${signal}` : `with code ${code}`;
      const details = { log: lastLines(logFile, 20), logFile: relative(process.cwd(), logFile) };
      process.exit(await this.fail(new StepError(`${name} ended ${how}.`, details)));
    });
  }

  private async fail(error: unknown): Promise<number> {
    // Ended by a signal: what breaks now breaks because we end it.
    if (this.children.isStopping) return new Promise<number>(() => {});
    this.progress.silence();
    console.error(`\n${failureText(error)}\n`);
    await this.stopAll();
    return 1;
  }

  /** Being stopped is how a demo ends, so it is a success. A repeated signal changes nothing: stopping is bounded in time. */
  private async end(signal: NodeJS.Signals): Promise<void> {
    if (this.children.isStopping) return;
    this.progress.silence();
    console.log(`\nStopping${signal === "SIGINT" ? "" : ` (${signal})`}…`);
    await this.stopAll();
    console.log("Everything is stopped.");
    process.exit(0);
  }

  private async stopAll(): Promise<void> {
    await this.children.stopAll();
    if (this.postgres) await this.postgres.stop();
    else if (this.postgresProcess) {
      signalGroup(this.postgresProcess.pid, "SIGINT");
      await this.postgresProcess.exited;
    }
    if (this.recording) {
      await rm(paths.run, { force: true });
      await rm(paths.demo, { force: true });
    }
  }

  private record(children: RunRecord["children"]): void {
    if (!this.recording) return;
    writeJson(paths.run, { pid: process.pid, startedAt: startTimeOf(process.pid), url: this.url, children });
  }
}

const names = (children: { name: string }[]) => children.map(({ name }) => name).join(", ");

/**
 * Next reads a developer's .env files whatever we pass. What is set already wins, even when empty: so each name in them is
 * set to nothing, unless the demo sets it itself.
 */
function blankedDotEnv(): NodeJS.Dict<string> {
  const files = [".env", ".env.local", ".env.production", ".env.production.local"].map((name) => join(ROOT, name));
  const names = files.filter(existsSync).flatMap((file) => Object.keys(parseEnv(readFileSync(file, "utf8"))));
  return Object.fromEntries(names.map((name) => [name, ""]));
}

function failedChild(child: Child, message: string, hint: string): StepError {
  const logFile = relative(process.cwd(), child.logFile);
  return new StepError(message, { log: lastLines(child.logFile, 20), logFile, hint });
}
