// One run of the bench: a database server of its own, filled databases, processes that do the work; then rounds over all
// cells, and at the end the proof that every answered take is in a ledger that is right.
import { rm } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { ensureBuild } from "../build";
import { Children, endRecorded, type RecordedChild } from "../children";
import { readJson, writeJson } from "../demo-state";
import { type Postgres, startPostgres } from "../postgres";
import type { Progress } from "../progress";
import { applyMigrations } from "../schema-engine";
import type { Load, LoadResult, Round } from "./callers";
import { type Cell, cellsOf, HEAVIEST, type LedgerCell, type ServerName } from "./cells";
import { EVENTS_DATABASES, type EventsDatabase, EventsLoad, isEventsCell, seedEvents } from "./events";
import { HelperProcess } from "./helper-process";
import {
  type Audit,
  auditLedgers,
  ledgerRowsOf,
  organizationId,
  type Population,
  seedEvent,
  seedPopulations,
} from "./ledger-rows";
import { seedLimit } from "./limit";
import { highestResidentMb } from "./memory";
import { ensureNoopNext } from "./noop";
import { DATABASES, type DatabaseName, HTTP, type Plan } from "./plan";
import { type MeasuredCell, type Memory, measuredCell, type Ratios, ratiosOf } from "./report";
import { type RunningServer, serverEnv, startServer } from "./servers";
import type { Targets } from "./tasks";

/** Database connections of a process; as many for the limit as for ours. */
const CONNECTIONS = 16;
/** Of the processes that only show how ours grows, so that all of them together stay below the server's own bound. */
const CONNECTIONS_GROWTH = 8;
const MEMORY_PARTS = 10;

export type Report = {
  kind: Plan["kind"];
  at: string;
  machine: { cores: number; node: string; postgres: string };
  settings: { rounds: number; warmUpMs: number; measureMs: number; connections: number };
  ratios: Ratios;
  rssMb: Memory;
  cells: Record<string, MeasuredCell>;
  /** Each database after the run: what its ledgers hold, and that it is what was answered. */
  ledgers: Record<string, Audit>;
};

/** What a run of the part about events adds to a report. */
export type PipelineReport = Pick<Report, "cells"> & Pick<Ratios, "growthEvents">;

/** A ledger that is not what its callers were told: the one result that makes the bench fail. */
export class LostCreditsError extends Error {
  override name = "LostCreditsError";
}

export class Bench {
  private readonly children: Children;
  /** Apart from the others: it outlives them, for the audit. */
  private readonly database = new Children();
  private readonly helpers: HelperProcess[] = [];
  private readonly inProcess = new Map<DatabaseName, HelperProcess>();
  private readonly servers = new Map<ServerName, RunningServer>();
  private readonly answered = new Map<DatabaseName, number>();
  private readonly events = new EventsLoad();
  private readonly cells: Cell[];
  private readonly databases: DatabaseName[];
  /** Which servers run, for the next run to end them should this one be killed. */
  private readonly record: string;
  private postgres: Postgres | undefined;
  private httpLoad: HelperProcess | undefined;
  private keys: Record<"organization" | "platform", string> = { organization: "", platform: "" };

  constructor(
    private readonly plan: Plan,
    /** A directory of its own for the cluster, the no-op app and the logs; deleted at the end. */
    private readonly directory: string,
    private readonly progress: Progress,
  ) {
    this.cells = cellsOf(plan);
    this.record = join(directory, "children.json");
    this.children = new Children((children) => writeJson(this.record, children));
    this.databases = DATABASES.filter((name) => plan.populations[name].length > 0);
  }

  /** @throws LostCreditsError where a ledger is not what callers were told */
  async run(): Promise<Report> {
    const at = new Date().toISOString();
    try {
      await this.prepare();
      const rounds = await this.measure();
      const memory = await this.progress.step("Memory of the server under the heaviest cell", () => this.watchMemory());
      const postgres = await this.onDatabase("main", async (client) => {
        const { rows } = await client.query<{ server_version: string }>("SHOW server_version");
        return rows[0]?.server_version ?? "";
      });
      await this.stopLoad();
      const ledgers = await this.progress.step("Every answered take is in its ledger", () => this.audit());
      const cells = this.measured(rounds);
      const { kind, warmUpMs, measureMs } = this.plan;
      return {
        kind,
        at,
        machine: { cores: cpus().length, node: process.versions.node, postgres },
        settings: { rounds: this.plan.rounds, warmUpMs, measureMs, connections: CONNECTIONS },
        ratios: ratiosOf(cells),
        rssMb: memory,
        cells,
        ledgers,
      };
    } finally {
      await this.stop();
    }
  }

  /** Only the part that is about Stripe's events, of a plan that has no other. */
  async runPipeline(): Promise<PipelineReport> {
    try {
      await this.prepare();
      const cells = this.measured(await this.measure());
      return { cells, growthEvents: ratiosOf(cells).growthEvents };
    } finally {
      await this.stop();
    }
  }

  private measured(rounds: Map<string, Round[]>): Record<string, MeasuredCell> {
    return Object.fromEntries(this.cells.map((cell) => [cell.key, measuredCell(cell, rounds.get(cell.key) ?? [])]));
  }

  /** Ends everything that was started and deletes what was made. */
  async stop(): Promise<void> {
    await this.stopLoad();
    await this.postgres?.stop();
    this.postgres = undefined;
    await this.database.stopAll();
    await rm(this.directory, { recursive: true, force: true });
  }

  private async stopLoad(): Promise<void> {
    await Promise.all(this.helpers.splice(0).map((helper) => helper.stop()));
    await this.children.stopAll();
  }

  // ── Before ───────────────────────────────────────────────────────────────────────────────────────────────

  private async prepare(): Promise<void> {
    await endRecorded(readJson<RecordedChild[]>(this.record) ?? []);
    // Builds and ledgers keep one core each busy.
    await allOf([this.prepareApps(), this.prepareDatabases()]);
    await this.progress.step("Processes", () => this.startProcesses());
  }

  private async prepareApps(): Promise<void> {
    if (this.plan.servers !== "built" || this.plan.pipelineOnly) return;
    await this.progress.step("App built", async (note) => {
      const { built } = await ensureBuild((options) => this.children.spawn(options));
      if (!built) note("nothing changed");
    });
    await this.progress.step("App with the no-op route built", async (note) => {
      const { built } = await ensureNoopNext(this.children);
      if (!built) note("nothing changed");
    });
  }

  private async prepareDatabases(): Promise<void> {
    await this.progress.step("PostgreSQL, with fsync and synchronous commits", () => this.startDatabase());
    await this.progress.step("Ledgers", () => this.seed());
  }

  private async startDatabase(): Promise<void> {
    this.postgres = await startPostgres({
      dataDir: join(this.directory, "postgres"),
      persistent: false,
      onSpawn: (server) => this.database.adopt(server),
    });
    const [first, ...others] = this.allDatabases();
    if (first === undefined) throw new Error("a plan without a database");
    await this.onServer(async (client) => {
      await client.query(`CREATE DATABASE ${databaseName(first)} OWNER billfold`);
      await applyMigrations(this.databaseUrl(first));
      for (const name of others) {
        await client.query(`CREATE DATABASE ${databaseName(name)} OWNER billfold TEMPLATE ${databaseName(first)}`);
      }
    });
  }

  private async seed(): Promise<void> {
    const { populations } = this.plan;
    // The largest first, and two at a time: an index is made by several processes anyway.
    const waiting = [...this.databases].sort((a, b) => rowsOf(populations[b]) - rowsOf(populations[a]));
    const lane = async () => {
      for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
        const database = name;
        await this.onDatabase(database, async (client) => {
          await seedEvent(client);
          await seedPopulations(client, populations[database]);
        });
      }
    };
    const events = () => this.onDatabase("eventsMany", (client) => seedEvents(client, this.plan.events.stored));
    await allOf([lane(), lane().then(events)]);
    if (populations.main.length === 0) return;
    await this.onDatabase("main", async (client) => {
      for (const { set, organizations } of populations.main) await seedLimit(client, set, organizations);
    });
  }

  private allDatabases(): readonly [AnyDatabase, ...AnyDatabase[]] {
    const [first, ...others] = EVENTS_DATABASES;
    return [first, ...others, ...this.databases];
  }

  private async startProcesses(): Promise<void> {
    await this.events.start(
      (name) => serverEnv(0, this.databaseUrl(name), CONNECTIONS_GROWTH),
      this.plan.events.subscribers,
      (helper) => this.helpers.push(helper),
    );
    if (!this.plan.pipelineOnly) await this.startLedgerProcesses();
  }

  private async startLedgerProcesses(): Promise<void> {
    const { plan, directory, children } = this;
    const databases = this.databases.map(async (name) => {
      const connections = name === "main" || name === "naive" ? CONNECTIONS : CONNECTIONS_GROWTH;
      const helper = await HelperProcess.start(name, "inProcess", serverEnv(0, this.databaseUrl(name), connections));
      this.helpers.push(helper);
      this.inProcess.set(name, helper);
    });
    const load = HelperProcess.start("httpLoad", "httpLoad").then((helper) => {
      this.helpers.push(helper);
      this.httpLoad = helper;
    });
    const databaseUrl = this.databaseUrl("main");
    const settings = { databaseUrl, connections: CONNECTIONS, servers: plan.servers, directory, children };
    const wanted = new Set(this.cells.flatMap((cell) => (cell.where === "http" ? [cell.server] : [])));
    const servers = [...wanted].map(async (name) => {
      this.servers.set(name, await startServer(name, settings));
    });
    await allOf([...databases, load, ...servers]);
    const { organizationKey, platformKey } = await this.helperOf("main").do({
      kind: "createKeys",
      organizationId: organizationId(HTTP, 1),
    });
    this.keys = { organization: organizationKey, platform: platformKey };
  }

  // ── Rounds ───────────────────────────────────────────────────────────────────────────────────────────────

  private async measure(): Promise<Map<string, Round[]>> {
    const { rounds, warmUpMs } = this.plan;
    const measured = new Map<string, Round[]>(this.cells.map(({ key }) => [key, []]));
    await this.progress.step("Warm-up", async () => {
      // Before the warm-up: after a checkpoint the first change of each page is written whole. A server whose checkpoints are minutes
      // apart seldom does that; rounds of seconds over 10,000 organizations would do nothing else.
      await this.onServer((client) => client.query("CHECKPOINT"));
      await this.walk();
      for (const cell of this.cells) await this.load(cell, { callers: cell.callers, warmUpMs: 0, measureMs: warmUpMs });
    });
    for (let round = 0; round < rounds; round++) {
      await this.progress.step(`Round ${round + 1} of ${rounds}`, async () => {
        for (const cell of inOrderOf(this.cells, round, rounds)) {
          const { answered: _, ...figures } = await this.load(cell, this.loadOf(cell));
          measured.get(cell.key)?.push(figures);
        }
      });
    }
    return measured;
  }

  /** Asks each organization once: what is measured is a process that has been up for a while, whatever it remembers. */
  private async walk(): Promise<void> {
    for (const database of this.databases) {
      const sets = new Set(
        this.cells.flatMap((cell) =>
          cell.where === "inProcess" && cell.way === "ours" && cell.database === database ? [cell.set] : [],
        ),
      );
      for (const set of sets) {
        this.count(
          database,
          await this.helperOf(database).do({ kind: "walk", targets: this.targetsOf(database, set) }),
        );
      }
    }
  }

  private targetsOf(database: DatabaseName, set: string): Targets {
    const organizations = this.plan.populations[database].find((population) => population.set === set)?.organizations;
    if (organizations === undefined) throw new Error(`${database} has no population ${set}`);
    return { set, organizations };
  }

  private count(database: DatabaseName, answered: number): void {
    this.answered.set(database, (this.answered.get(database) ?? 0) + answered);
  }

  private loadOf({ callers }: Cell): Load {
    const { warmUpMs, measureMs, measureReadsMs } = this.plan;
    return { callers, warmUpMs, measureMs: callers === 1 ? measureReadsMs : measureMs };
  }

  private async load(cell: Cell, load: Load): Promise<LoadResult> {
    if (isEventsCell(cell)) return this.events.do(cell, load);
    const database = cell.where === "http" ? "main" : cell.database;
    const targets = this.targetsOf(database, cell.set);
    const result =
      cell.where === "http"
        ? await this.loadOverHttp(cell, load, targets)
        : await this.helperOf(database).do({ kind: "load", way: cell.way, targets, depth: this.plan.depth, load });
    if (writesLedger(cell)) this.count(database, result.answered);
    return result;
  }

  private loadOverHttp(cell: LedgerCell & { where: "http" }, load: Load, targets: Targets) {
    const { procedure, batch, credential } = cell;
    const { port } = this.serverOf(cell.server);
    const apiKey = credential === null ? null : this.keys[credential];
    if (!this.httpLoad) throw new Error("the process that loads over HTTP is not started");
    return this.httpLoad.do({ kind: "http", port, procedure, apiKey, targets, batch, load });
  }

  /** The heaviest cell in ten equal parts without a pause. */
  private async watchMemory(): Promise<Memory> {
    const cell = this.cells.find(({ key }) => key === HEAVIEST);
    if (!cell) throw new Error(`there is no cell ${HEAVIEST}`);
    const { pid } = this.serverOf("ours");
    const load = { callers: cell.callers, warmUpMs: 0, measureMs: this.plan.memoryPartMs };
    const parts: { operations: number; highestMb: number }[] = [];
    for (let part = 0; part < MEMORY_PARTS; part++) {
      const { result, highestMb } = await highestResidentMb(pid, () => this.load(cell, load));
      parts.push({ operations: result.answered, highestMb });
    }
    return {
      atStart: Math.round(parts[0]?.highestMb ?? 0),
      afterTenTimes: Math.round(parts.at(-1)?.highestMb ?? 0),
      operationsAtStart: parts[0]?.operations ?? 0,
      operationsAfterTenTimes: parts.reduce((sum, { operations }) => sum + operations, 0),
    };
  }

  // ── After ────────────────────────────────────────────────────────────────────────────────────────────────

  private async audit(): Promise<Record<string, Audit>> {
    const audits: Record<string, Audit> = {};
    for (const name of this.databases) {
      const audit = await this.onDatabase(name, auditLedgers);
      const expected = rowsOf(this.plan.populations[name]) + (this.answered.get(name) ?? 0);
      if (audit.unlawful > 0) {
        throw new LostCreditsError(
          `${name}: in ${audit.unlawful} of ${audit.organizations} organizations ledger, lots and balance disagree.`,
        );
      }
      if (audit.transactions !== expected) {
        throw new LostCreditsError(`${name}: the ledger has ${audit.transactions} rows, but should have ${expected}.`);
      }
      audits[name] = audit;
    }
    return audits;
  }

  // ── Ways to the processes and databases ──────────────────────────────────────────────────────────────────

  private helperOf(name: DatabaseName): HelperProcess {
    const helper = this.inProcess.get(name);
    if (!helper) throw new Error(`there is no process for ${name}`);
    return helper;
  }

  private serverOf(name: ServerName): RunningServer {
    const server = this.servers.get(name);
    if (!server) throw new Error(`there is no server ${name}`);
    return server;
  }

  private databaseUrl(name: AnyDatabase): string {
    return withDatabase(this.server().url, name);
  }

  private onServer<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
    return withClient(this.server().superuserUrl, use);
  }

  private onDatabase<T>(name: AnyDatabase, use: (client: pg.Client) => Promise<T>): Promise<T> {
    return withClient(withDatabase(this.server().superuserUrl, name), use);
  }

  private server(): Postgres {
    if (!this.postgres) throw new Error("PostgreSQL is not started");
    return this.postgres;
  }
}

/** Each round begins at another cell, and every second one goes backwards: no cell always follows the same one. */
function inOrderOf(cells: Cell[], round: number, rounds: number): Cell[] {
  const first = Math.floor((cells.length * round) / rounds);
  const turned = [...cells.slice(first), ...cells.slice(0, first)];
  return round % 2 ? turned.reverse() : turned;
}

/** Fails like Promise.all, but not before all have ended: what is still being started could not be stopped. */
async function allOf(work: Promise<void>[]): Promise<void> {
  const ended = await Promise.allSettled(work);
  const failure = ended.find((end) => end.status === "rejected");
  if (failure) throw failure.reason;
}

function rowsOf(populations: readonly Population[]): number {
  return populations.reduce((sum, population) => sum + ledgerRowsOf(population), 0);
}

function writesLedger(cell: LedgerCell): boolean {
  return cell.where === "http" ? cell.server === "ours" : cell.way === "ours" || cell.way === "naive";
}

type AnyDatabase = DatabaseName | EventsDatabase;

const databaseName = (name: AnyDatabase) => `bench_${name.toLowerCase()}`;

function withDatabase(url: string, name: AnyDatabase): string {
  const changed = new URL(url);
  changed.pathname = `/${databaseName(name)}`;
  return changed.href;
}

async function withClient<T>(connectionString: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
