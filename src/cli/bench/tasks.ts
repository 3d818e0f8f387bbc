// What the bench's processes are asked to do, and what they answer: the messages between them, and nothing else.
import type { Load, LoadResult } from "./callers";

/** Organizations to spread requests over: those of a population, from the first on. */
export type Targets = { set: string; organizations: number };

/** A way to use Billfold, or what it is compared with, inside one process. */
export type Way = "limit" | "naive" | "ours" | "balance" | "select1" | "firstPage" | "deepPage";

export type InProcessTask = {
  kind: "load";
  way: Way;
  targets: Targets;
  /** How far down the ledger the deep page lies, in rows. */
  depth: number;
  load: Load;
};

/** A take from each organization once. */
export type WalkTask = { kind: "walk"; targets: Targets };

export type HttpTask = {
  kind: "http";
  port: number;
  /** Procedure to call, below /api/trpc. */
  procedure: string;
  apiKey: string | null;
  targets: Targets;
  /** Calls in one request; 1 sends them without a batch. */
  batch: number;
  load: Load;
};

export type CreateKeysTask = { kind: "createKeys"; organizationId: string };

/** Makes subscribers at a Stripe of the process's own, whose events are delivered from then on. */
export type OpenEventsTask = { kind: "openEvents"; subscribers: number };

/** What is done with each event. */
export type EventsWay = "eventsStored" | "eventsProcessed";

export type EventsTask = { kind: "events"; way: EventsWay; load: Load };

export type Task = InProcessTask | WalkTask | HttpTask | CreateKeysTask | OpenEventsTask | EventsTask;

export type Answers = {
  load: LoadResult;
  /** How many takes were answered. */
  walk: number;
  http: LoadResult;
  createKeys: { organizationKey: string; platformKey: string };
  /** How many there are. */
  openEvents: number;
  events: LoadResult;
};

export type Answer<T extends Task> = Answers[T["kind"]];

export type Message = { id: number; task: Task };
export type Reply = { id: number; answer: unknown } | { id: number; error: string };
