// The cells of the bench: what is measured, where, by how many callers. How it is measured is elsewhere.
import { type EventsDatabase, eventsCells } from "./events";
import { NOOP_PROCEDURE } from "./noop";
import { type DatabaseName, DEEP, HOT, HTTP, HTTP_SPREAD, LOTS_1, LOTS_20, LOTS_220, type Plan, SPREAD } from "./plan";
import type { EventsWay, Way } from "./tasks";

export type ServerName = "ours" | "noopDoor" | "noopNext";

/** The API key that calls are made with; null for none. */
export type Credential = "organization" | "platform" | null;

export type EventsCell = CellText & { where: "events"; way: EventsWay; database: EventsDatabase };

type CellText = { key: string; title: string; section: string; callers: number };

export type LedgerCell = CellText &
  (
    | { where: "inProcess"; way: Way; database: DatabaseName; set: string }
    | { where: "http"; server: ServerName; procedure: string; batch: number; credential: Credential; set: string }
  );

export type Cell = LedgerCell | EventsCell;

const CONSUME = "credits.consume";
const HTTP_CALLERS = 32;
/** The cell under which the server's memory is watched: of those that go through the server, it moves the most. */
export const HEAVIEST = "httpBatch";

/** What is compared stands side by side, so that a machine that slows down for a moment slows down both. */
export function cellsOf(plan: Plan): Cell[] {
  const ledger = plan.pipelineOnly ? [] : [...takes(), ...overHttp(plan), ...growth(plan), ...reads()];
  const measured = ledger.filter((cell) => cell.where === "http" || plan.populations[cell.database].length > 0);
  return [...measured, ...eventsCells(plan.events)];
}

function takes(): LedgerCell[] {
  const section = "A take, in process";
  const one = (way: "limit" | "naive" | "ours", spread: boolean, callers: number): LedgerCell => ({
    key: `${way}${spread ? "Spread" : "Hot"}${callers}`,
    title: `${TITLES[way]}, ${spread ? "spread" : "hot"}`,
    section,
    callers,
    where: "inProcess",
    way,
    database: way === "naive" ? "naive" : "main",
    set: spread ? SPREAD : HOT,
  });
  return [
    one("limit", true, 32),
    one("ours", true, 32),
    one("naive", true, 32),
    one("limit", false, 32),
    one("ours", false, 32),
    one("naive", false, 32),
    one("limit", true, 256),
    one("ours", true, 256),
    one("limit", false, 256),
    one("ours", false, 256),
  ];
}

const TITLES = { limit: "limit: one statement", naive: "interactive Prisma transaction", ours: "ours" };

function overHttp(plan: Plan): LedgerCell[] {
  const one = (
    cell: Pick<LedgerCell & { where: "http" }, "key" | "title" | "server" | "batch"> & { platform?: boolean },
  ): LedgerCell => {
    const { platform = false, ...rest } = cell;
    const isOurs = cell.server === "ours";
    return {
      ...rest,
      section: "Over HTTP",
      callers: HTTP_CALLERS,
      where: "http",
      procedure: isOurs ? CONSUME : NOOP_PROCEDURE,
      credential: isOurs ? (platform ? "platform" : "organization") : null,
      set: platform ? HTTP_SPREAD : HTTP,
    };
  };
  const next = one({ key: "nextNoop", title: "no-op, Next's handler", server: "noopNext", batch: 1 });
  const extra = [
    one({ key: "doorNoopSingle", title: "no-op, our door, single calls", server: "noopDoor", batch: 1 }),
    one({
      key: "httpBatchSpread",
      title: "ours, batches of ten, spread, platform key",
      server: "ours",
      batch: 10,
      platform: true,
    }),
  ];
  return [
    ...(plan.servers === "built" ? [next] : []),
    one({ key: "httpSingle", title: "ours, single calls", server: "ours", batch: 1 }),
    one({ key: "doorNoopBatch", title: "no-op, our door, batches of ten", server: "noopDoor", batch: 10 }),
    one({ key: HEAVIEST, title: "ours, batches of ten", server: "ours", batch: 10 }),
    ...(plan.extraCells ? extra : []),
  ];
}

function growth({ populations }: Plan): LedgerCell[] {
  const one = (key: string, title: string, database: DatabaseName, set: string): LedgerCell => ({
    key,
    title,
    section: "Ours as data grows",
    callers: 32,
    where: "inProcess",
    way: "ours",
    database,
    set,
  });
  const rows = (database: DatabaseName) =>
    populations[database].reduce(
      (sum, { organizations, openLots, consumed }) => sum + organizations * (openLots + consumed),
      0,
    );
  const organizations = (database: DatabaseName) => populations[database][0]?.organizations ?? 0;
  const count = (amount: number) => amount.toLocaleString("en");
  return [
    one("lots1", "1 lot each", "lots", LOTS_1),
    one("lots20", "20 lots each", "lots", LOTS_20),
    one("lots220", "20 lots and 200 closed each", "lots", LOTS_220),
    one("ledgerSmall", `${count(rows("ledgerSmall"))} ledger rows`, "ledgerSmall", SPREAD),
    one("ledgerBig", `${count(rows("ledgerBig"))} ledger rows`, "ledgerBig", SPREAD),
    one(
      "organizationsSmall",
      `${count(organizations("organizationsSmall"))} organizations`,
      "organizationsSmall",
      SPREAD,
    ),
    one("organizationsBig", `${count(organizations("organizationsBig"))} organizations`, "organizationsBig", SPREAD),
  ];
}

function reads(): LedgerCell[] {
  const one = (way: Way, title: string, database: DatabaseName, set: string): LedgerCell => ({
    key: way,
    title,
    section: "Reads, one caller",
    callers: 1,
    where: "inProcess",
    way,
    database,
    set,
  });
  return [
    one("select1", "select 1", "main", SPREAD),
    one("balance", "balance", "main", SPREAD),
    one("firstPage", "first page of transactions", "ledgerBig", DEEP),
    one("deepPage", "page at depth", "ledgerBig", DEEP),
  ];
}
