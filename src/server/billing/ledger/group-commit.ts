// The group commit: operations that arrive while a flush is under way are taken together by the next one. They are decided
// in memory and written, for all their organizations, by one statement and one commit; each caller gets its own answer.
//
// Two ways to the database. The quick one decides on the accounts that this process remembers and writes with the versions
// that it has seen; it is one exchange. Where the database says that an account has changed (another process, another
// use-case), or a key is known, those operations go the locked way: lock, load, decide, write, commit. Whoever comes by the
// locked way can lose to nobody, so everything ends.
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { Account, type AccountState, type LedgerKey, type LedgerRow } from "~/domain/account";
import { BillingError, invariant } from "~/domain/errors";
import { endLeases } from "~/domain/holds";
import { IDLE_TIMEOUT_MS, isLockTimeout, isPassing, LOCK_TIMEOUT_MS } from "../../db";
import { newTransactionId } from "../../db/keys";
import { database, pipelines } from "../../db/pool";
import { requireSameRequest } from "./accounts";
import {
  type KnownRow,
  type RateCard,
  readAccount,
  readKnown,
  readRateCard,
  type StoredAccount,
  type StoredKnown,
  type StoredRateCard,
} from "./load";
import { Contended, Remembered } from "./remembered";
import { PARAMETER_TYPES, writeParameters } from "./save";

/** Something that a caller wants done to an account. */
export interface Operation<Answer> {
  organizationId: string;
  /** What makes it once; null for what may be done again without harm. */
  key: LedgerKey | null;
  /** An API key that was accepted from memory, and must still be valid when this is written. */
  unverifiedKeyId: string | null;
  now: Date;
  /** Decides on the account and changes it; throws a `BillingError` and leaves it unchanged. */
  decide(account: Account, rateCard: RateCard, at: Date): { answer: Answer; rowId: string | null };
  /** The first answer, from what stands under the key. */
  replay(known: KnownRow): Answer;
}

interface Waiting {
  operation: Operation<unknown>;
  /** Milliseconds on the process's steady clock. */
  since: number;
  /** Id of the row that a try has made, in case its commit was not heard of. */
  rowId: string | null;
  resolve(answer: unknown): void;
  reject(error: unknown): void;
}

interface Lane {
  waiting: Waiting[];
  flushing: boolean;
}

type Outcome = { answer: unknown } | { error: unknown };

interface States {
  states: StoredAccount[] | null;
  revoked: string[] | null;
}

// Two: while one flush is at the database the other is decided. More would make the batches smaller.
const LANES = 2;
// About where a larger batch does not commit more in a second, and only waits longer.
const MOST_IN_FLUSH = 200;
// One at the database, and one that is decided meanwhile.
const MOST_FLUSHES = 2;
const FEW = 100;
// Ten thousand calls are a second of work at full speed; beyond it callers do better to come back than to wait.
const MOST_WAITING = 10_000;
const MOST_WAITING_BYTES = 32 * 1024 * 1024;
const PASSING_TRIES = 4;
// Far longer than anybody of ours keeps an account locked.
const SHORT_LOCK_TIMEOUT_MS = "250";
// Each waits on a connection of its own.
const MOST_STUCK = 4;

const PARAMETERS = PARAMETER_TYPES.map((_, index) => `$${index + 1}`).join(", ");
const FLUSH = `SELECT ledger_flush(${PARAMETERS}) AS refused`;
const WRITE = `SELECT ledger_write(${PARAMETERS}) AS refused`;

/** The queue of one process; see the top of the file. */
export class GroupCommit {
  private readonly lanes = Array.from({ length: LANES }, (): Lane => ({ waiting: [], flushing: false }));
  private readonly remembered = new Remembered();
  /** Accounts that are decided on and not yet known to be written, by how many flushes: what is remembered of them may never come true. */
  private readonly inFlight = new Map<string, number>();
  private readonly contended = new Contended();
  /** Accounts that somebody else keeps locked, with the operations that wait for them beside the lanes. */
  private readonly stuck = new Map<string, Waiting[]>();
  private waitingCount = 0;
  private waitingBytes = 0;
  /** Operations a second, lately; for the time that callers beyond the bound are told to wait. */
  private rate = 1000;

  /** @param pipelines connections that take a statement before the one before it is answered; where there are none, flushes take turns */
  constructor(
    private readonly pool: () => pg.Pool,
    private readonly pipelines: (() => pg.Pool) | null = null,
  ) {}

  /**
   * Has an operation done.
   * @param bytes about what it keeps in memory while it waits
   * @throws BillingError OVERLOADED `{ retryAfterMs }` beyond the bound of the queue; and whatever the operation's rule refuses
   */
  submit<Answer>(operation: Operation<Answer>, bytes: number): Promise<Answer> {
    if (this.waitingCount >= MOST_WAITING || this.waitingBytes + bytes > MOST_WAITING_BYTES) {
      const retryAfterMs = Math.min(5000, Math.max(50, Math.ceil((this.waitingCount / this.rate) * 1000)));
      const details = { retryable: true, retryAfterMs };
      return Promise.reject(new BillingError("OVERLOADED", "There is too much to do at the moment.", details));
    }
    const lane = this.lanes[laneOf(operation.organizationId)];
    invariant(lane, "there is a lane for each organization");
    this.waitingCount += 1;
    this.waitingBytes += bytes;
    return new Promise<Answer>((resolve, reject) => {
      const done = () => {
        this.waitingCount -= 1;
        this.waitingBytes -= bytes;
      };
      lane.waiting.push({
        operation: operation as Operation<unknown>,
        since: performance.now(),
        rowId: null,
        resolve: (answer) => {
          done();
          resolve(answer as Answer);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      if (!lane.flushing) {
        lane.flushing = true;
        // Not at once: whatever else this turn of the event loop brings goes along.
        setImmediate(() => void this.drain(lane));
      }
    });
  }

  /**
   * The account as this process remembers it, where the database says that it still is so: a question for one number
   * instead of a reading of everything. Only to look at.
   * @returns null where it is not remembered, has changed, or has holds that end by now
   */
  async recallCurrent(organizationId: string, now: Date): Promise<Readonly<AccountState> | null> {
    const state = this.remembered.find(organizationId)?.state;
    if (!state || this.inFlight.has(organizationId)) return null;
    const { rows } = await this.pool().query<{ version: string | null }>("SELECT ledger_version($1) AS version", [
      organizationId,
    ]);
    const same = this.remembered.find(organizationId)?.state === state && !this.inFlight.has(organizationId);
    if (!same || rows[0]?.version !== String(state.version)) return null;
    for (const held of state.holds.values()) if (held.leaseEndsAt <= now) return null;
    return state;
  }

  private async drain(lane: Lane): Promise<void> {
    const client = await this.connect();
    const flushes = new Set<Promise<void>>();
    let broken = false;
    while (lane.waiting.length > 0 || flushes.size > 0) {
      // A second flush is decided, on what the first will have written, while the first is at the database; but not for a few,
      // who do better together with those who come after them.
      const may = flushes.size === 0 || (flushes.size < MOST_FLUSHES && lane.waiting.length >= FEW && client !== null);
      if (lane.waiting.length === 0 || !may) {
        await Promise.race(flushes);
        continue;
      }
      const batch = lane.waiting.splice(0, MOST_IN_FLUSH);
      const flush = this.flush(batch, client).then((isBroken) => {
        broken ||= isBroken;
        flushes.delete(flush);
      });
      flushes.add(flush);
    }
    lane.flushing = false;
    client?.removeListener("error", ignore);
    client?.release(broken);
  }

  /** The lane's own connection; null where there is none to be had, and the pool's are used. */
  private async connect(): Promise<pg.PoolClient | null> {
    try {
      const client = await this.pipelines?.().connect();
      client?.on("error", ignore);
      return client ?? null;
    } catch {
      return null;
    }
  }

  /** @returns whether the lane's connection is not to be used again */
  private async flush(arrived: Waiting[], client: pg.PoolClient | null): Promise<boolean> {
    const batch = this.stuck.size === 0 ? arrived : arrived.filter((member) => !this.joinStuck(member));
    if (batch.length === 0) return false;
    const began = performance.now();
    let isBroken = false;
    try {
      isBroken = await this.flushBatch(batch, client);
    } catch (error) {
      // A fault of ours; whoever has an answer keeps it, and those behind them get theirs.
      for (const member of batch) member.reject(error);
    }
    const rate = (batch.length / Math.max(1, performance.now() - began)) * 1000 * LANES;
    this.rate = this.rate * 0.8 + rate * 0.2;
    return isBroken;
  }

  private async flushBatch(batch: Waiting[], client: pg.PoolClient | null): Promise<boolean> {
    let rest = batch;
    let failure: unknown = null;
    const decided: string[] = [];
    try {
      rest = await this.flushQuickly(batch, client ?? this.pool(), decided);
    } catch (error) {
      // Whatever it was, the locked way finds out whom it concerns. What was remembered may have been changed in vain.
      for (const { operation } of batch) this.remembered.forget(operation.organizationId);
      failure = error;
    } finally {
      for (const organizationId of decided) this.leave(organizationId);
    }
    if (rest.length > 0) {
      // Somebody keeps one of these accounts locked: each by itself, so that only its own callers wait.
      if (!isLockTimeout(failure)) await this.flushLocked(rest);
      else
        for (const [organizationId, members] of byOrganization(rest))
          await this.flushOrSetAside(organizationId, members);
    }
    return failure !== null && !isLockTimeout(failure);
  }

  private enter(organizationId: string): void {
    this.inFlight.set(organizationId, (this.inFlight.get(organizationId) ?? 0) + 1);
  }

  private leave(organizationId: string): void {
    const count = (this.inFlight.get(organizationId) ?? 1) - 1;
    if (count === 0) this.inFlight.delete(organizationId);
    else this.inFlight.set(organizationId, count);
  }

  // ── Accounts that somebody else keeps locked ─────────────────────────────────────────────────────────────────

  private async flushOrSetAside(organizationId: string, members: Waiting[]): Promise<void> {
    try {
      answerAll(members, await this.lockAndWrite(members, SHORT_LOCK_TIMEOUT_MS));
    } catch (error) {
      if (!isLockTimeout(error)) return this.flushLocked(members);
      if (this.stuck.size >= MOST_STUCK) {
        for (const member of members) member.reject(asBusy(error));
        return;
      }
      this.stuck.set(organizationId, members);
      void this.waitForStuck(organizationId);
    }
  }

  private joinStuck(member: Waiting): boolean {
    const waiting = this.stuck.get(member.operation.organizationId);
    waiting?.push(member);
    return waiting !== undefined;
  }

  /** Beside the lanes, on a connection of its own, until the lock is to be had or has been waited for long enough. */
  private async waitForStuck(organizationId: string): Promise<void> {
    for (;;) {
      const members = this.stuck.get(organizationId)?.splice(0, MOST_IN_FLUSH) ?? [];
      if (members.length === 0) break;
      await this.flushLocked(members);
    }
    this.stuck.delete(organizationId);
  }

  // ── The quick way ────────────────────────────────────────────────────────────────────────────────────────────

  /** @returns those that have to go the locked way */
  private async flushQuickly(batch: Waiting[], via: pg.Pool | pg.PoolClient, entered: string[]): Promise<Waiting[]> {
    const rateCard = await this.rateCard();
    const groups = byOrganization(batch);
    const refusedKeys = await this.recall(groups, rateCard);
    const locked: Waiting[] = [];
    const decided: { account: Account; members: Waiting[]; outcomes: Outcome[] }[] = [];
    for (const [organizationId, members] of groups) {
      const known = this.remembered.find(organizationId);
      if (
        !known ||
        this.contended.mustLock(organizationId) ||
        known.state.epoch !== rateCard.epoch ||
        members.some((member) => refusedKeys.has(member.operation.unverifiedKeyId))
      ) {
        this.remembered.forget(organizationId);
        locked.push(...members);
        continue;
      }
      const account = new Account(known.state, newTransactionId);
      this.enter(organizationId);
      entered.push(organizationId);
      const outcomes = decideAll(account, members, rateCard, null, NO_KEYS);
      decided.push({ account, members, outcomes });
    }
    if (decided.length === 0) return locked;
    // In the order of ids, as everybody locks.
    decided.sort((a, b) => (a.account.state.organizationId < b.account.state.organizationId ? -1 : 1));
    const accounts = decided.map((one) => one.account);
    const result = await via.query<{ refused: { epoch?: true; written?: number[]; known?: number[] } | null }>(
      FLUSH,
      writeParameters(accounts, rateCard.epoch),
    );
    const refused = result.rows[0]?.refused ?? null;
    if (refused?.epoch) {
      this.remembered.forgetAll();
      return batch;
    }
    const written = refused === null ? null : new Set(refused.written);
    for (const [index, { account, members, outcomes }] of decided.entries()) {
      if (written === null || written.has(index + 1)) {
        settleState(account);
        this.remembered.keepWithinBounds(account.state);
        answerAll(members, outcomes);
        this.contended.noteQuick(account.state.organizationId);
      } else {
        this.remembered.forget(account.state.organizationId);
        if (!refused?.known?.includes(index + 1)) this.contended.noteStale(account.state.organizationId);
        locked.push(...members);
      }
    }
    return locked;
  }

  /** Reads, without a lock, what is not remembered. @returns the API keys that are not valid any more */
  private async recall(groups: Map<string, Waiting[]>, rateCard: RateCard): Promise<Set<string | null>> {
    const unknown: string[] = [];
    const keys = new Set<string>();
    for (const [organizationId, members] of groups) {
      const known = this.remembered.find(organizationId);
      const usable = known && known.state.epoch === rateCard.epoch;
      if (!usable) unknown.push(organizationId);
      for (const { operation } of members) {
        const key = operation.unverifiedKeyId;
        if (key !== null && !(usable && this.remembered.isKeyValidFor(key, known.loaded))) keys.add(key);
      }
    }
    if (unknown.length === 0 && keys.size === 0) return NO_KEYS;
    const asked = this.remembered.nextTick();
    const { rows } = await this.pool().query<{ peek: States }>("SELECT ledger_peek($1, $2) AS peek", [
      `{${unknown.join(",")}}`,
      `{${[...keys].join(",")}}`,
    ]);
    const known = (rows[0]?.peek.states ?? []).filter((state) => !state.deleted);
    const revoked = new Set<string | null>(rows[0]?.peek.revoked ?? []);
    for (const state of known) this.remembered.keep(readAccount(state), asked);
    for (const key of keys) if (!revoked.has(key)) this.remembered.keepKey(key, asked);
    return revoked;
  }

  private async rateCard(): Promise<RateCard> {
    return this.remembered.rateCard ?? this.loadRateCard(this.pool());
  }

  private async loadRateCard(via: pg.Pool | pg.PoolClient): Promise<RateCard> {
    const { rows } = await via.query<{ card: StoredRateCard }>("SELECT ledger_rate_card() AS card");
    invariant(rows[0], "the rate card answers");
    return this.remembered.keepRateCard(readRateCard(rows[0].card));
  }

  /** The rate card of an epoch that was read under the lock; the remembered one where it is of that epoch. */
  private async rateCardOf(client: pg.PoolClient, epoch: number | undefined): Promise<RateCard> {
    const known = this.remembered.rateCard;
    return known !== null && known.epoch === epoch ? known : this.loadRateCard(client);
  }

  // ── The locked way ───────────────────────────────────────────────────────────────────────────────────────────

  private async flushLocked(batch: Waiting[]): Promise<void> {
    let error: unknown;
    for (let attempt = 1; attempt <= PASSING_TRIES; attempt++) {
      try {
        return answerAll(batch, await this.lockAndWrite(batch, LOCK_TIMEOUT_MS));
      } catch (failure) {
        error = failure;
      }
      if (isLockTimeout(error)) break;
      // All together: one after the other they would wait out an outage one after the other.
      if (!isPassing(error)) break;
      if (attempt < PASSING_TRIES) await sleep(20 * 4 ** attempt * (0.5 + Math.random()));
    }
    if (batch.length === 1 || isPassing(error)) {
      for (const member of batch) member.reject(asBusy(error));
      return;
    }
    // One of them makes all fail: each by itself, the others are answered and that one learns why.
    for (const member of batch) await this.flushLocked([member]);
  }

  private async lockAndWrite(batch: Waiting[], lockTimeoutMs: string): Promise<Outcome[]> {
    const client = await this.pool().connect();
    // Unheard, a connection that breaks between two statements would end the process; the next statement tells of it.
    client.on("error", ignore);
    let failed = true;
    try {
      await client.query(
        `BEGIN; SET LOCAL ROLE billfold_platform; SET LOCAL lock_timeout = ${lockTimeoutMs}; SET LOCAL idle_in_transaction_session_timeout = ${IDLE_TIMEOUT_MS}`,
      );
      const outcomes = await this.decideUnderLock(client, batch);
      await client.query("COMMIT");
      failed = false;
      for (const account of outcomes.accounts) {
        settleState(account);
        this.remembered.keep(account.state);
      }
      return outcomes.outcomes;
    } catch (error) {
      for (const { operation } of batch) this.remembered.forget(operation.organizationId);
      throw error;
    } finally {
      client.removeListener("error", ignore);
      // A connection whose transaction did not end well is not used again.
      client.release(failed);
    }
  }

  private async decideUnderLock(
    client: pg.PoolClient,
    batch: Waiting[],
  ): Promise<{ accounts: Account[]; outcomes: Outcome[] }> {
    const groups = byOrganization(batch);
    const keyed = batch.map(({ operation }) => operation).filter((operation) => operation.key !== null);
    const apiKeys = new Set(batch.map(({ operation }) => operation.unverifiedKeyId).filter((id) => id !== null));
    const { rows } = await client.query<{ opened: States & { known: StoredKnown[] | null } }>(
      "SELECT ledger_open($1, $2, $3, $4, $5) AS opened",
      [
        [...groups.keys()],
        keyed.map((operation) => operation.organizationId),
        keyed.map((operation) => operation.key?.space),
        keyed.map((operation) => operation.key?.key),
        [...apiKeys],
      ],
    );
    const opened = rows[0]?.opened;
    invariant(opened, "the accounts answer");
    const rateCard = await this.rateCardOf(client, opened.states?.[0]?.epoch);
    const revoked = new Set<string | null>(opened.revoked ?? []);
    const states = new Map((opened.states ?? []).map((state) => [state.organizationId, state]));
    const accounts: Account[] = [];
    const outcomes = new Map<Waiting, Outcome>();
    for (const [organizationId, members] of groups) {
      const stored = states.get(organizationId);
      if (!stored || stored.deleted) {
        const error = new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
        for (const member of members) outcomes.set(member, { error });
        continue;
      }
      const known = new Map<string, KnownRow>();
      for (const row of opened.known ?? []) {
        if (row.organization_id === organizationId)
          known.set(keyText(row.key_space, row.idempotency_key), readKnown(row));
      }
      const account = new Account(readAccount(stored), newTransactionId);
      const decided = decideAll(account, members, rateCard, known, revoked);
      for (const [index, member] of members.entries()) {
        const outcome = decided[index];
        if (outcome) outcomes.set(member, outcome);
      }
      accounts.push(account);
    }
    const changed = accounts.filter((account) => account.isChanged);
    if (changed.length > 0) {
      const result = await client.query<{ refused: unknown }>(WRITE, writeParameters(changed, null));
      invariant(
        result.rows[0]?.refused === null,
        `accounts under lock are written: ${JSON.stringify(result.rows[0]?.refused)}`,
      );
    }
    return {
      accounts,
      outcomes: batch.map((member) => outcomes.get(member) ?? { error: new Error("an operation was not decided") }),
    };
  }
}

const NO_KEYS: Set<string | null> = new Set();

const ignore = (): void => {};

/** What callers are told when the database is away: to come again with the same key, whatever became of this try. */
function asBusy(error: unknown): unknown {
  if (!isPassing(error)) return error;
  const details = { retryable: true };
  return new BillingError("BUSY", "The database is not reachable at the moment. Please try again shortly.", details, {
    cause: error,
  });
}

function keyText(space: string, key: string): string {
  return `${space}:${key}`;
}

/**
 * Decides a batch's operations on one account, in the order of their arrival.
 * @param known what stands under their keys; null where nobody has asked, so that the write will have to
 */
function decideAll(
  account: Account,
  members: readonly Waiting[],
  rateCard: RateCard,
  known: Map<string, KnownRow> | null,
  revokedKeys: Set<string | null>,
): Outcome[] {
  const written = new Map<string, LedgerRow>();
  return members.map((member) => {
    const { operation } = member;
    try {
      if (operation.unverifiedKeyId !== null && revokedKeys.has(operation.unverifiedKeyId)) {
        throw new BillingError("UNAUTHENTICATED", "This API key is not valid.");
      }
      // The instant of the decision: a lot that ran out while the caller waited in the queue is not spent any more.
      const waited = Math.max(0, Math.floor(performance.now() - member.since));
      const at = waited === 0 ? operation.now : new Date(operation.now.getTime() + waited);
      endLeases(account, at);
      const { key } = operation;
      if (key !== null) {
        const text = keyText(key.space, key.key);
        const before = known?.get(text) ?? written.get(text);
        if (before) {
          const hash = "requestHash" in before ? before.requestHash : before.key.requestHash;
          requireSameRequest(before.id, hash, key);
          // Ours, from a try whose commit was not heard of: the caller has had no answer yet.
          const first = before.id === member.rowId;
          return {
            answer: first
              ? { ...(operation.replay(asKnown(before)) as object), replayed: false }
              : operation.replay(asKnown(before)),
          };
        }
        const rows = account.rows.length;
        const { answer, rowId } = operation.decide(account, rateCard, at);
        member.rowId = rowId;
        for (const row of account.rows.slice(rows)) if (row.id === rowId) written.set(text, row);
        return { answer };
      }
      return { answer: operation.decide(account, rateCard, at).answer };
    } catch (error) {
      if (!(error instanceof BillingError)) throw error;
      // What is refused has no row for the write to look up: its first answer may have been another.
      if (known === null && operation.key !== null) account.unknownKeys.push(operation.key);
      return { error };
    }
  });
}

function asKnown(row: KnownRow | LedgerRow): KnownRow {
  return "requestHash" in row ? row : { ...row, requestHash: row.key.requestHash };
}

function answerAll(members: readonly Waiting[], outcomes: readonly Outcome[]): void {
  for (const [index, member] of members.entries()) {
    const outcome = outcomes[index];
    invariant(outcome, "each operation has its outcome");
    if ("error" in outcome) member.reject(outcome.error);
    else member.resolve(outcome.answer);
  }
}

/** After a write: what is spent needs not be looked at again. */
function settleState(account: Account): void {
  const { state } = account;
  if (account.isChanged && state.lots.some((lot) => lot.remaining === 0)) {
    state.lots = state.lots.filter((lot) => lot.remaining > 0);
  }
}

function byOrganization(batch: readonly Waiting[]): Map<string, Waiting[]> {
  const groups = new Map<string, Waiting[]>();
  for (const member of batch) {
    const members = groups.get(member.operation.organizationId);
    if (members) members.push(member);
    else groups.set(member.operation.organizationId, [member]);
  }
  return groups;
}

function laneOf(organizationId: string): number {
  return Number.parseInt(organizationId.slice(-4), 16) % LANES;
}

// One queue a process, also where a bundler loads this module twice: two would take turns in surprising each other.
const shared = globalThis as typeof globalThis & { billfoldGroupCommit?: GroupCommit };

/** The process's queue. */
export function groupCommit(): GroupCommit {
  shared.billfoldGroupCommit ??= new GroupCommit(database, pipelines);
  return shared.billfoldGroupCommit;
}
