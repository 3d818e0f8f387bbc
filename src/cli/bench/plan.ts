// How much a run of the bench does: sizes, times and rounds of each kind of run.
import type { Population } from "./ledger-rows";

export const DATABASES = [
  "main",
  "naive",
  "lots",
  "ledgerSmall",
  "ledgerBig",
  "organizationsSmall",
  "organizationsBig",
] as const;
export type DatabaseName = (typeof DATABASES)[number];

export type EventsPlan = {
  /** Events that one of the two databases has kept before. */
  stored: number;
  /** Customers of whom events come; at least one for each caller. */
  subscribers: number;
};

export type Plan = {
  kind: "full" | "quick" | "smoke";
  rounds: number;
  warmUpMs: number;
  measureMs: number;
  /** Reads take no lock and vary little. */
  measureReadsMs: number;
  /** Each of the ten parts in which the server's memory is watched. */
  memoryPartMs: number;
  /** Cells beside those that the ratios need. */
  extraCells: boolean;
  /** How far down the ledger the deep page lies, in rows. */
  depth: number;
  /** `built` measures what `npm start` runs and Next's handler; `door` our door alone, without a build. */
  servers: "built" | "door";
  /** A database without a population is not made, and what it would be for not measured. */
  populations: Record<DatabaseName, Population[]>;
  events: EventsPlan;
  /** Only what is about Stripe's events. */
  pipelineOnly?: boolean;
};

/** Populations by what they are for; a database may hold several. */
export const SPREAD = "1";
export const HOT = "2";
export const HTTP = "3";
/** Apart from SPREAD: what another process changes, a process no longer knows, and would have to read anew. */
export const HTTP_SPREAD = "4";
export const LOTS_1 = "1";
export const LOTS_20 = "2";
export const LOTS_220 = "3";
export const DEEP = "2";

const LOTS = 5;

type Sizes = {
  organizations: number;
  /** In the two ledgers that differ in their rows. */
  organizationsWithPast: number;
  smallLedgerRows: number;
  organizationsWithLots: number;
  /** Ledger rows of the big ledger in all, of which one organization has `deepRows`. */
  bigLedgerRows: number;
  deepRows: number;
  fewOrganizations: number;
  manyOrganizations: number;
};

function populationsOf(sizes: Sizes): Plan["populations"] {
  const spread = population(SPREAD, sizes.organizations);
  const hot = population(HOT, 1);
  const deep = { ...population(DEEP, 1), consumed: sizes.deepRows - LOTS };
  const past = (rows: number) => ({
    ...population(SPREAD, sizes.organizationsWithPast),
    consumed: Math.floor(rows / sizes.organizationsWithPast) - LOTS,
  });
  const lots = (set: string, openLots: number, closedLots: number) => ({
    ...population(set, sizes.organizationsWithLots),
    openLots,
    closedLots,
  });
  return {
    main: [spread, hot, population(HTTP, 1), population(HTTP_SPREAD, sizes.organizations)],
    naive: [spread, hot],
    lots: [lots(LOTS_1, 1, 0), lots(LOTS_20, 20, 0), lots(LOTS_220, 20, 200)],
    ledgerSmall: [past(sizes.smallLedgerRows)],
    ledgerBig: [past(sizes.bigLedgerRows - sizes.deepRows), deep],
    organizationsSmall: [population(SPREAD, sizes.fewOrganizations)],
    organizationsBig: [population(SPREAD, sizes.manyOrganizations)],
  };
}

function population(set: string, organizations: number): Population {
  return { set, organizations, openLots: LOTS, closedLots: 0, consumed: 0 };
}

export const PLANS: Record<Plan["kind"], Plan> = {
  full: {
    kind: "full",
    rounds: 5,
    warmUpMs: 400,
    measureMs: 2000,
    measureReadsMs: 1000,
    memoryPartMs: 2000,
    extraCells: true,
    depth: 200_000,
    servers: "built",
    events: { stored: 1_000_000, subscribers: 80 },
    populations: populationsOf({
      organizations: 10_000,
      organizationsWithPast: 10_000,
      smallLedgerRows: 50_000,
      organizationsWithLots: 500,
      bigLedgerRows: 5_000_000,
      deepRows: 250_000,
      fewOrganizations: 1000,
      manyOrganizations: 100_000,
    }),
  },
  quick: {
    kind: "quick",
    rounds: 3,
    warmUpMs: 100,
    measureMs: 700,
    measureReadsMs: 300,
    memoryPartMs: 300,
    extraCells: false,
    depth: 200_000,
    servers: "built",
    events: { stored: 200_000, subscribers: 24 },
    populations: populationsOf({
      organizations: 10_000,
      organizationsWithPast: 2000,
      smallLedgerRows: 50_000,
      organizationsWithLots: 200,
      bigLedgerRows: 500_000,
      deepRows: 210_000,
      fewOrganizations: 1000,
      manyOrganizations: 10_000,
    }),
  },
  // For the bench's own test: nearly everything once, on next to nothing.
  smoke: {
    kind: "smoke",
    rounds: 1,
    warmUpMs: 20,
    measureMs: 100,
    measureReadsMs: 100,
    memoryPartMs: 50,
    extraCells: false,
    depth: 200,
    servers: "door",
    events: { stored: 2000, subscribers: 8 },
    populations: {
      ...populationsOf({
        organizations: 50,
        organizationsWithPast: 20,
        smallLedgerRows: 200,
        organizationsWithLots: 5,
        bigLedgerRows: 2000,
        deepRows: 500,
        fewOrganizations: 10,
        manyOrganizations: 100,
      }),
      ledgerSmall: [],
      organizationsSmall: [],
      organizationsBig: [],
    },
  },
};

/** A plan without anything but the part that is about Stripe's events. */
export function pipelineOf(plan: Plan): Plan {
  const populations = Object.fromEntries(DATABASES.map((name) => [name, []])) as unknown as Plan["populations"];
  return { ...plan, populations, pipelineOnly: true };
}
