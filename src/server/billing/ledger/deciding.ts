// What waits in the group commit, and how a batch of it is decided in memory on one account.
import { performance } from "node:perf_hooks";
import type { Account, LedgerKey, LedgerRow } from "~/domain/account";
import { BillingError, invariant } from "~/domain/errors";
import { endLeases } from "~/domain/holds";
import { requireSameRequest } from "./accounts";
import type { KnownRow, RateCard } from "./load";

/** Something that a caller wants done to an account. */
export interface Operation<Answer> {
  organizationId: string;
  /** What makes it once; null for what may be done again without harm. */
  key: LedgerKey | null;
  /** The API key that it came with, which must be valid when this is written. */
  apiKeyId: string | null;
  now: Date;
  /** Decides on the account and changes it; throws a `BillingError` and leaves it unchanged. */
  decide(account: Account, rateCard: RateCard, at: Date): { answer: Answer; rowId: string | null };
  /** The first answer, from what stands under the key. */
  replay(known: KnownRow): Answer;
}

/** An operation with the caller who waits for it. */
export class Waiting {
  /** Milliseconds on the process's steady clock. */
  readonly since = performance.now();
  /** Id of the row that a try has made, in case its commit was not heard of. */
  rowId: string | null = null;
  private hasLeft = false;

  /** @param bytes about what it keeps in memory */
  constructor(
    readonly operation: Operation<unknown>,
    readonly bytes: number,
    private readonly queue: { left(member: Waiting): void },
    private readonly answered: (answer: unknown) => void,
    private readonly refused: (error: unknown) => void,
  ) {}

  resolve(answer: unknown): void {
    this.leave();
    this.answered(answer);
  }

  /** Where it has an answer already, that stays. */
  reject(error: unknown): void {
    this.leave();
    this.refused(error);
  }

  private leave(): void {
    if (this.hasLeft) return;
    this.hasLeft = true;
    this.queue.left(this);
  }
}

/** What an operation's caller is told once the write has succeeded. */
export type Outcome = { answer: unknown } | { error: unknown };

/** What stands under the keys of a batch, by `keyText`. */
export type KnownRows = Map<string, KnownRow>;

export function keyText(space: string, key: string): string {
  return `${space}:${key}`;
}

/**
 * Decides a batch's operations on one account, in the order of their arrival.
 * @param known what stands under their keys; null where nobody has asked, so that the write will have to
 */
export function decideAll(
  account: Account,
  members: readonly Waiting[],
  rateCard: RateCard,
  known: KnownRows | null,
  revokedKeys: Set<string | null>,
): Outcome[] {
  const written = new Map<string, LedgerRow>();
  return members.map((member) => {
    const { operation } = member;
    try {
      const unheard = known && unheardAnswer(member, known);
      if (unheard) return unheard;
      if (operation.apiKeyId !== null && revokedKeys.has(operation.apiKeyId)) {
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
          return { answer: operation.replay(asKnown(before)) };
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

/**
 * The answer of an operation that was written by a try whose commit was not heard of. Its caller has had none yet, and whatever has
 * happened since (its key revoked, its organization ended) does not undo it.
 */
export function unheardAnswer({ operation, rowId }: Waiting, known: KnownRows): Outcome | null {
  const row = operation.key && known.get(keyText(operation.key.space, operation.key.key));
  if (!row || row.id !== rowId) return null;
  return { answer: { ...(operation.replay(row) as object), replayed: false } };
}

function asKnown(row: KnownRow | LedgerRow): KnownRow {
  return "requestHash" in row ? row : { ...row, requestHash: row.key.requestHash };
}

export function answerAll(members: readonly Waiting[], outcomes: readonly Outcome[]): void {
  for (const [index, member] of members.entries()) {
    const outcome = outcomes[index];
    invariant(outcome, "each operation has its outcome");
    if ("error" in outcome) member.reject(outcome.error);
    else member.resolve(outcome.answer);
  }
}

/** After a write: what is spent needs not be looked at again. */
export function settleState(account: Account): void {
  const { state } = account;
  if (account.isChanged && state.lots.some((lot) => lot.remaining === 0)) {
    state.lots = state.lots.filter((lot) => lot.remaining > 0);
  }
}

export function byOrganization(batch: readonly Waiting[]): Map<string, Waiting[]> {
  const groups = new Map<string, Waiting[]>();
  for (const member of batch) {
    const members = groups.get(member.operation.organizationId);
    if (members) members.push(member);
    else groups.set(member.operation.organizationId, [member]);
  }
  return groups;
}
