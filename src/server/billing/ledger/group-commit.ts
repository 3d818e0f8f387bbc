// The group commit: operations that arrive while a flush is under way are taken together by the next one. They are decided
// in memory and written, for all their organizations, by one statement and one commit; each caller gets its own answer.
//
// Two ways to the database. The quick one decides on the accounts that this process remembers and writes with the versions
// that it has seen; it is one exchange. Where the database says that an account has changed (another process, another
// use-case), or a key is known, those operations go the locked way: lock, load, decide, write, commit. Whoever comes by the
// locked way can lose to nobody, so everything ends.
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Account, type AccountState } from "~/domain/account";
import { BillingError, invariant } from "~/domain/errors";
import { asBusy, beginAsPlatform, busy, isLockTimeout, isPassing, LOCK_TIMEOUT_MS } from "../../db";
import { newTransactionId } from "../../db/keys";
import { database, pipelines } from "../../db/pool";
import { isLost, prepared, timed } from "../../db/statements";
import {
  answerAll,
  byOrganization,
  decideAll,
  type KnownRows,
  keyText,
  type Operation,
  type Outcome,
  settleState,
  unheardAnswer,
  Waiting,
} from "./deciding";
import {
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

interface Lane {
  waiting: Waiting[];
  flushing: boolean;
  /** When the last of its flushes was answered, on the process's steady clock. */
  landedAt: number;
}

/** What a batch came to on the quick way. */
interface Landing {
  /** Those that have to go the locked way. */
  rest: Waiting[];
  /** Why the whole batch failed. */
  failure: unknown;
}

/** One account's part of a flush. */
interface Decided {
  account: Account;
  members: Waiting[];
  outcomes: Outcome[];
}

/** What the database says of the accounts that it has not written; their numbers in the flush, from 1 on. */
interface Refused {
  written?: number[];
  known?: number[];
}

interface States {
  states: StoredAccount[] | null;
  revoked: string[] | null;
}

// Two: while one waits for the disk the other works. More would make the batches smaller.
const LANES = 2;
// About where a larger batch does not commit more in a second, and only waits longer.
const MOST_IN_FLUSH = 200;
// One at the database, and one that is decided meanwhile, on what the first will have written.
const MOST_FLUSHES = 2;
// Fewer do better together with those who come after them: a flush costs about as much as twelve takes.
const FEW = 24;
const USUAL_IN_FLUSH = 64;
// After a key that was known, so many flushes ask for their keys first: callers that come again come in swarms.
const ASKING_FLUSHES = 64;
// Ten thousand calls are a second of work at full speed; beyond it callers do better to come back than to wait.
const MOST_WAITING = 10_000;
const MOST_WAITING_BYTES = 32 * 1024 * 1024;
const PASSING_TRIES = 4;
// Far longer than anybody of ours keeps an account locked.
const SHORT_LOCK_TIMEOUT_MS = "250";
// Accounts that are kept locked wait on a connection each, and with so many calls: the others need connections, and the queue, too.
const MOST_STUCK = 5;
const STUCK_CONNECTIONS = 0.25;
const MOST_STUCK_CALLS = 200;
// One more that is kept locked is not asked for again at once: to find it locked takes as long as a hundred flushes.
const BARRED_MS = 1000;
const MOST_BARRED = 10_000;

const PARAMETERS = PARAMETER_TYPES.map((_, index) => `$${index + 1}`).join(", ");
const WRITE = `SELECT ledger_write(${PARAMETERS}) AS refused`;
// With the pool's own role, which inherits the platform's: to take another would cost more than the question itself, and the
// number tells nobody anything of a tenant.
const VERSION = "SELECT version FROM credit_accounts WHERE organization_id = $1";

/** The queue of one process; see the top of the file. */
export class GroupCommit {
  private readonly lanes = Array.from({ length: LANES }, (): Lane => ({ waiting: [], flushing: false, landedAt: 0 }));
  private readonly remembered = new Remembered();
  private readonly contended = new Contended();
  /** Accounts that somebody else keeps locked, with the operations that wait for them beside the lanes. */
  private readonly stuck = new Map<string, Waiting[]>();
  /** How many flushes from now on look their keys up before they write, instead of failing where one is known. */
  private asking = 0;
  /** Accounts that are kept locked and for which there is no room in `stuck`, by when they may be tried again on the steady clock. */
  private readonly barred = new Map<string, number>();
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
      const answered = resolve as (answer: unknown) => void;
      lane.waiting.push(new Waiting(operation as Operation<unknown>, bytes, this, answered, reject));
      if (!lane.flushing) {
        lane.flushing = true;
        // Not at once: whatever else this turn of the event loop brings goes along.
        setImmediate(() => void this.drain(lane));
      }
    });
  }

  /** An operation has its answer. */
  left({ bytes }: Waiting): void {
    this.waitingCount -= 1;
    this.waitingBytes -= bytes;
  }

  /**
   * The account as this process remembers it, where the database says that it still is so: a question for one number
   * instead of a reading of everything. Only to look at.
   * @returns null where it is not remembered, has changed, or has holds that end by now
   */
  async recallCurrent(organizationId: string, now: Date): Promise<Readonly<AccountState> | null> {
    const state = this.remembered.find(organizationId)?.state;
    if (!state) return null;
    const { rows } = await this.askForVersion(organizationId);
    // Where a flush of it is under way, its version is the one that it will have: the database does not know that yet.
    const isSame = this.remembered.find(organizationId)?.state === state && rows[0]?.version === String(state.version);
    if (!isSame) return null;
    for (const held of state.holds.values()) if (held.leaseEndsAt <= now) return null;
    return state;
  }

  private async askForVersion(organizationId: string): Promise<pg.QueryResult<{ version: string }>> {
    try {
      return await this.pool().query(prepared(VERSION, [organizationId]));
    } catch (error) {
      if (!isLost(error)) throw asBusy(error);
      return this.pool().query(timed(VERSION, [organizationId]));
    }
  }

  private async drain(lane: Lane): Promise<void> {
    const flights = new Set<Promise<void>>();
    const rest: Landing[] = [];
    let client: pg.PoolClient | null = null;
    let broken = false;
    for (;;) {
      if (flights.size === 0) {
        // Nothing of the lane is in flight: whoever is locked now is decided on by nobody else.
        await this.flushRest(rest.splice(0));
        if (lane.waiting.length === 0) break;
        if (broken) disconnect(client, true);
        if (broken || client === null) client = await this.connect();
        broken = false;
      }
      const isFull = flights.size >= MOST_FLUSHES || lane.waiting.length < FEW;
      if (flights.size > 0 && (isFull || rest.length > 0 || broken || client === null)) {
        await Promise.race(flights);
        continue;
      }
      const batch = takeBatch(lane);
      const began = performance.now();
      // Decided one after the other, each on what the one before it will have written.
      const { landed } = await this.launch(batch, client ?? this.pool());
      const flight = landed.then((landing) => {
        flights.delete(flight);
        this.noteRate(lane, batch.length, began);
        broken ||= landing.failure !== null && !isConnectionWell(landing.failure);
        if (landing.rest.length > 0) rest.push(landing);
      });
      flights.add(flight);
    }
    lane.flushing = false;
    disconnect(client, broken);
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

  private noteRate(lane: Lane, count: number, began: number): void {
    const now = performance.now();
    const tookMs = Math.max(1, now - Math.max(began, lane.landedAt));
    lane.landedAt = now;
    this.rate = this.rate * 0.8 + (count / tookMs) * 1000 * LANES * 0.2;
  }

  /** The locked way, for those whom the quick way has left over. */
  private async flushRest(landings: readonly Landing[]): Promise<void> {
    const stuck = landings.filter(({ failure }) => isLockTimeout(failure)).flatMap(({ rest }) => rest);
    const others = landings.filter(({ failure }) => !isLockTimeout(failure)).flatMap(({ rest }) => rest);
    try {
      stuck.push(...(await this.flushLocked(others, SHORT_LOCK_TIMEOUT_MS)));
      // Somebody keeps one of these accounts locked: each by itself, so that only its own callers wait.
      for (const [organizationId, members] of byOrganization(stuck)) {
        const left = await this.flushLocked(members, SHORT_LOCK_TIMEOUT_MS);
        if (left.length > 0) this.setAside(organizationId, left);
      }
    } catch (error) {
      // A fault of ours; whoever has an answer keeps it, and those behind them get theirs.
      for (const member of [...others, ...stuck]) member.reject(error);
    }
  }

  // ── Accounts that somebody else keeps locked ─────────────────────────────────────────────────────────────────

  private setAside(organizationId: string, members: Waiting[]): void {
    const room = Math.min(MOST_STUCK, Math.max(1, Math.floor(this.pool().options.max * STUCK_CONNECTIONS)));
    if (this.stuck.size < room) {
      this.stuck.set(organizationId, members.splice(0, MOST_STUCK_CALLS));
      void this.waitForStuck(organizationId);
    } else {
      if (this.barred.size >= MOST_BARRED) this.barred.clear();
      this.barred.set(organizationId, performance.now() + BARRED_MS);
    }
    for (const member of members) member.reject(busy());
  }

  /** Takes an operation out of the lane where its account is kept locked. */
  private isSetAside(member: Waiting): boolean {
    const { organizationId } = member.operation;
    const stuck = this.stuck.get(organizationId);
    if (stuck && stuck.length < MOST_STUCK_CALLS) return stuck.push(member) > 0;
    const barredUntil = this.barred.get(organizationId) ?? 0;
    if (stuck || performance.now() < barredUntil) {
      member.reject(busy());
      return true;
    }
    if (barredUntil > 0) this.barred.delete(organizationId);
    return false;
  }

  /** Beside the lanes, on a connection of its own, until the lock is to be had or has been waited for long enough. */
  private async waitForStuck(organizationId: string): Promise<void> {
    for (;;) {
      const waiting = this.stuck.get(organizationId) ?? [];
      if (waiting.length === 0) break;
      const left = await this.flushLocked(waiting.splice(0, MOST_IN_FLUSH), LOCK_TIMEOUT_MS);
      // One wait is for all: those behind have waited as long.
      if (left.length > 0) for (const member of [...left, ...waiting.splice(0)]) member.reject(busy());
    }
    this.stuck.delete(organizationId);
  }

  // ── The quick way ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Decides a batch on what is remembered and sends it.
   * @returns as soon as it is sent, with what it will have come to; neither ever rejects
   */
  private async launch(arrived: Waiting[], via: pg.Pool | pg.PoolClient): Promise<{ landed: Promise<Landing> }> {
    const isQuiet = this.stuck.size === 0 && this.barred.size === 0;
    const batch = isQuiet ? arrived : arrived.filter((member) => !this.isSetAside(member));
    const decided: Decided[] = [];
    const locked: Waiting[] = [];
    const fail = (failure: unknown): Landing => {
      // Whatever it was, the locked way finds out whom it concerns. What was remembered was changed in vain.
      for (const { operation } of batch) this.remembered.forget(operation.organizationId);
      if (isRefusedWith(failure, EPOCH_CHANGED)) this.remembered.forgetAll();
      if (isRefusedWith(failure, KEY_KNOWN)) this.asking = ASKING_FLUSHES;
      isLost(failure);
      return { rest: batch, failure };
    };
    try {
      const rateCard = await this.rateCard();
      const groups = byOrganization(batch);
      const revokedKeys = await this.recall(groups, rateCard);
      for (const [organizationId, members] of groups) {
        const known = this.remembered.find(organizationId);
        if (
          !known ||
          this.contended.mustLock(organizationId) ||
          known.state.epoch !== rateCard.epoch ||
          members.some((member) => revokedKeys.has(member.operation.apiKeyId))
        ) {
          this.remembered.forget(organizationId);
          locked.push(...members);
          continue;
        }
        const account = new Account(known.state, newTransactionId);
        decided.push({ account, members, outcomes: decideAll(account, members, rateCard, null, NO_KEYS) });
      }
      if (decided.length === 0) return { landed: Promise.resolve({ rest: locked, failure: null }) };
      // In the order of ids, as everybody locks.
      decided.sort((a, b) => (a.account.state.organizationId < b.account.state.organizationId ? -1 : 1));
      const accounts = decided.map((one) => one.account);
      const asks = this.asking > 0;
      if (asks) this.asking -= 1;
      const write = prepared(WRITE, writeParameters(accounts, rateCard.epoch, asks));
      const sent = via.query<{ refused: Refused | null }>(write);
      const landed = sent
        .then(({ rows }) => this.land(decided, rows[0]?.refused ?? null))
        .then((rest) => ({ rest: [...locked, ...rest], failure: null }), fail);
      return { landed };
    } catch (error) {
      return { landed: Promise.resolve(fail(error)) };
    }
  }

  /** Answers those whose accounts were written. @returns the others */
  private land(decided: readonly Decided[], refused: Refused | null): Waiting[] {
    const rest: Waiting[] = [];
    const written = refused === null ? null : new Set(refused.written);
    for (const [index, { account, members, outcomes }] of decided.entries()) {
      const { organizationId } = account.state;
      if (written === null || written.has(index + 1)) {
        settleState(account);
        this.remembered.keepWithinBounds(account.state);
        answerAll(members, outcomes);
        this.contended.noteQuick(organizationId);
        continue;
      }
      rest.push(...members);
      // Otherwise it was decided on what a flush before it would have written, and is refused because that one was.
      if (this.remembered.find(organizationId)?.state !== account.state) continue;
      this.remembered.forget(organizationId);
      if (!refused?.known?.includes(index + 1)) this.contended.noteStale(organizationId);
    }
    return rest;
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
        const key = operation.apiKeyId;
        if (key !== null && !(usable && this.remembered.isKeyValidFor(key, known.loaded))) keys.add(key);
      }
    }
    if (unknown.length === 0 && keys.size === 0) return NO_KEYS;
    const asked = this.remembered.nextTick();
    const { rows } = await this.pool().query<{ peek: States }>(
      timed("SELECT ledger_peek($1, $2) AS peek", [`{${unknown.join(",")}}`, `{${[...keys].join(",")}}`]),
    );
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
    const { rows } = await via.query<{ card: StoredRateCard }>(timed("SELECT ledger_rate_card() AS card"));
    invariant(rows[0], "the rate card answers");
    return this.remembered.keepRateCard(readRateCard(rows[0].card));
  }

  /** The rate card of an epoch that was read under the lock; the remembered one where it is of that epoch. */
  private async rateCardOf(client: pg.PoolClient, epoch: number | undefined): Promise<RateCard> {
    const known = this.remembered.rateCard;
    return known !== null && known.epoch === epoch ? known : this.loadRateCard(client);
  }

  // ── The locked way ───────────────────────────────────────────────────────────────────────────────────────────

  /** @returns those that have no answer, because somebody keeps one of their accounts locked for longer than that */
  private async flushLocked(batch: Waiting[], lockTimeoutMs: string): Promise<Waiting[]> {
    if (batch.length === 0) return [];
    let error: unknown;
    for (let attempt = 1; attempt <= PASSING_TRIES; attempt++) {
      try {
        answerAll(batch, await this.lockAndWrite(batch, lockTimeoutMs));
        return [];
      } catch (failure) {
        error = failure;
      }
      if (isLockTimeout(error)) return batch;
      // All together: one after the other they would wait out an outage one after the other.
      if (!isPassing(error)) break;
      if (attempt < PASSING_TRIES) await sleep(20 * 4 ** attempt * (0.5 + Math.random()));
    }
    if (batch.length === 1 || isPassing(error)) {
      for (const member of batch) member.reject(asBusy(error));
      return [];
    }
    // One of them makes all fail: each by itself, the others are answered and that one learns why.
    const left: Waiting[] = [];
    for (const member of batch) left.push(...(await this.flushLocked([member], lockTimeoutMs)));
    return left;
  }

  private async lockAndWrite(batch: Waiting[], lockTimeoutMs: string): Promise<Outcome[]> {
    const client = await this.pool().connect();
    // Unheard, a connection that breaks between two statements would end the process; the next statement tells of it.
    client.on("error", ignore);
    let failed = true;
    try {
      await client.query(timed(beginAsPlatform(lockTimeoutMs)));
      const outcomes = await this.decideUnderLock(client, batch);
      await client.query(timed("COMMIT"));
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
    const apiKeys = new Set(batch.map(({ operation }) => operation.apiKeyId).filter((id) => id !== null));
    const { rows } = await client.query<{ opened: States & { known: StoredKnown[] | null } }>(
      timed("SELECT ledger_open($1, $2, $3, $4, $5) AS opened", [
        [...groups.keys()],
        keyed.map((operation) => operation.organizationId),
        keyed.map((operation) => operation.key?.space),
        keyed.map((operation) => operation.key?.key),
        [...apiKeys],
      ]),
    );
    const opened = rows[0]?.opened;
    invariant(opened, "the accounts answer");
    const rateCard = await this.rateCardOf(client, opened.states?.[0]?.epoch);
    const revoked = new Set<string | null>(opened.revoked ?? []);
    const states = new Map((opened.states ?? []).map((state) => [state.organizationId, state]));
    const accounts: Account[] = [];
    const outcomes = new Map<Waiting, Outcome>();
    for (const [organizationId, members] of groups) {
      const known: KnownRows = new Map();
      for (const row of opened.known ?? []) {
        if (row.organization_id === organizationId)
          known.set(keyText(row.key_space, row.idempotency_key), readKnown(row));
      }
      const stored = states.get(organizationId);
      if (!stored || stored.deleted) {
        const error = new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
        for (const member of members) outcomes.set(member, unheardAnswer(member, known) ?? { error });
        continue;
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
      const result = await client.query<{ refused: unknown }>(timed(WRITE, writeParameters(changed, null)));
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

function disconnect(client: pg.PoolClient | null, broken: boolean): void {
  client?.removeListener("error", ignore);
  client?.release(broken);
}

/** Half of what waits, so that the other half is decided meanwhile; all of it where that is little, and never too much. */
function takeBatch(lane: Lane): Waiting[] {
  const half = Math.ceil(lane.waiting.length / 2);
  return lane.waiting.splice(0, Math.min(MOST_IN_FLUSH, Math.max(USUAL_IN_FLUSH, half)));
}

/** Whether a connection can go on after a failure: where the database has answered, and is not ending it. */
function isConnectionWell(failure: unknown): boolean {
  return failure instanceof pg.DatabaseError && (isLockTimeout(failure) || !isPassing(failure));
}

// One of its keys stands for a row already.
const KEY_KNOWN = "23505";
// The rate card, or a platform key, is another one than it was decided on.
const EPOCH_CHANGED = "BF001";

function isRefusedWith(failure: unknown, sqlState: string): boolean {
  return failure instanceof pg.DatabaseError && failure.code === sqlState;
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
