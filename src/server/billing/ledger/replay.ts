// Living through one organization's ledger again, from its first row: what must be true of each row, lot and account by
// what came before it. Knows no database; `verify` reads what is compared here.
import type { TransactionType } from "~/domain/account";
import type { Credits, GrantSource } from "~/domain/credits";
import { instantOfId, seqOfTransactionId } from "../../db/keys";
import { type ChainedRow, hashRow } from "./chain";

/** Something that is not as it should be. */
export interface Finding {
  organizationId: string;
  /** `row 7`, `lot <id>`, `hold <id>`, `account`. */
  where: string;
  /** What the tables say, and what the rest of the ledger says it should be. */
  says: string;
  should: string;
}

/** Where a chain stood: the row and its hash; for rows older than the chain, the balance has to do. */
export interface Head {
  seq: number;
  hash: string | null;
  balance: number;
}

/** A row as it is stored; its entries and the lots that it made are put to it when it is hashed. */
export interface StoredRow extends ChainedRow {
  hash: string | null;
}

export interface StoredEntry {
  seq: number;
  position: number;
  grantId: string;
  amount: number;
  held: number;
  lotAfter: number;
}

/** A lot as it is stored, without its label. */
export interface StoredLot {
  id: string;
  source: GrantSource;
  amount: number;
  remaining: number;
  held: number;
  frozen: number;
  transferred: number;
  expired: number;
  open: boolean;
  transferable: boolean;
  expiresAt: number | null;
  createdAt: number;
  planId: string | null;
  planVersion: number | null;
  priceId: string | null;
  productId: string | null;
  stripeInvoiceId: string | null;
  stripePaymentId: string | null;
  stripeSessionId: string | null;
  originOrganizationId: string | null;
  originGrantId: string | null;
  originSource: GrantSource | null;
}

export interface StoredHead {
  balance: number;
  held: number;
  debt: number;
  lastSeq: number;
  lastAt: number | null;
  lastHash: string | null;
}

/** A lot while its entries are replayed. */
interface LotState {
  stored: StoredLot;
  remaining: number;
  held: number;
  frozen: number;
  transferred: number;
  expired: number;
  /** The row that made it; null until it is met. */
  madeBy: number | null;
  /** Made under the chain, which began later than the table's newer columns. */
  chained: boolean;
  lapsed: boolean;
}

const MAKES_LOTS: ReadonlySet<TransactionType> = new Set(["grant", "purchase", "promotion", "adjustment", "transfer"]);

export class Replay {
  private readonly lots = new Map<string, LotState>();
  /** Lots that expire, soonest first, and how many of them have. */
  private readonly expiring: LotState[];
  private lapsedCount = 0;
  private seq = 0;
  private balance = 0;
  private held = 0;
  private debt = 0;
  /** What is free in lots that have not expired. */
  private free = 0;
  private hash: string | null = null;
  private chainedSince: number | null = null;
  private at = Number.NEGATIVE_INFINITY;
  /** The row before is missing, so nothing is known that this one could be compared with. */
  private gap = false;
  /** The lot that the row before names. */
  private namedLot: string | null = null;

  constructor(
    readonly organizationId: string,
    private readonly account: StoredHead | null,
    lots: readonly StoredLot[],
    private readonly expectedHead: Head | null,
    private readonly say: (finding: Finding) => void,
  ) {
    for (const stored of lots) {
      const blank = { remaining: 0, held: 0, frozen: 0, transferred: 0, expired: 0 };
      this.lots.set(stored.id, { stored, ...blank, madeBy: null, chained: false, lapsed: false });
    }
    this.expiring = [...this.lots.values()]
      .filter((lot) => lot.stored.expiresAt !== null)
      .sort((a, b) => (a.stored.expiresAt ?? 0) - (b.stored.expiresAt ?? 0));
  }

  /** Where the chain stands after the rows that were added. */
  get head(): Head {
    return { seq: this.seq, hash: this.hash, balance: this.balance };
  }

  private find(where: string, says: string | number | null, should: string | number | null): void {
    this.say({ organizationId: this.organizationId, where, says: String(says), should: String(should) });
  }

  /**
   * Adds the next row that is stored, with the entry that it is itself, or with its entries in their order.
   * @param startsRun whether it is marked as one with which rows of its lot begin
   */
  add(row: StoredRow, own: StoredEntry | null, stored: readonly StoredEntry[], startsRun: boolean): void {
    const where = `row ${row.seq}`;
    const entries = own === null ? stored : stored.length === 0 ? [own] : [own, ...stored];
    if (own !== null && stored.length > 0) {
      this.find(where, `names lot ${own.grantId} and has entries, ${stored.length}`, "one or the other");
    }
    this.follow(row);
    this.requireRun(where, own?.grantId ?? null, startsRun);
    const at = row.at.getTime();
    this.lapse(at);
    const newLots = this.move(row, entries);
    if (!this.gap && row.balanceAfter !== this.balance + row.amount) {
      this.find(where, `balance ${row.balanceAfter}`, `${this.balance} + ${row.amount} = ${this.balance + row.amount}`);
    }
    this.balance = row.balanceAfter;
    this.held += row.held;
    this.debt += row.debt;
    if (this.debt < 0) this.find(where, `debt ${row.debt}`, "no more than what was owed");
    if (row.correctsSeq !== null && !(row.correctsSeq > 0 && row.correctsSeq < row.seq)) {
      this.find(where, `corrects row ${row.correctsSeq}`, "a row before it");
    }
    if (!this.gap) this.requireAvailable(row, at);
    this.link(row, entries, newLots);
    this.at = at;
    this.seq = row.seq;
    this.gap = false;
    if (this.expectedHead?.seq === row.seq) this.requireHead(this.expectedHead, row);
  }

  /** Entries of a row that is not there: their lots were moved all the same. */
  addOrphans(entries: readonly StoredEntry[]): void {
    for (const entry of entries) {
      this.find(
        `row ${entry.seq}`,
        `entry ${entry.position} moves ${entry.amount} in lot ${entry.grantId}`,
        "there is no such row",
      );
      const lot = this.lots.get(entry.grantId);
      if (!lot) continue;
      lot.madeBy ??= entry.amount > 0 ? entry.seq : null;
      this.setLot(lot, entry.lotAfter, lot.held + entry.held);
    }
  }

  private follow(row: StoredRow): void {
    const next = this.seq + 1;
    if (row.seq > next) {
      const moved = row.balanceAfter - row.amount - this.balance;
      const names = row.seq - 1 === next ? `row ${next}` : `rows ${next} to ${row.seq - 1}`;
      this.find(names, `missing; the balance around it moved by ${moved}`, "one row for each number");
      this.gap = true;
    } else if (row.seq < next) {
      this.find(`row ${row.seq}`, "a number below 1", "the first row is number 1");
    }
  }

  /** Rows of a lot are found by the first of each run: where it is not marked, those behind it are not. */
  private requireRun(where: string, lot: string | null, startsRun: boolean): void {
    if (lot !== this.namedLot && !startsRun && !this.gap) {
      this.find(where, "begins no run of rows", lot === null ? "one that names no lot" : `one of lot ${lot}`);
    }
    this.namedLot = lot;
  }

  private requireAvailable(row: StoredRow, at: number): void {
    if (row.availableAfter === this.free) return;
    // A row never stands before the one below it; decided by a clock that was behind, it saw lots that had expired since.
    if (row.hash === null || at === this.at) {
      let seen = this.free;
      for (let index = this.lapsedCount - 1; index >= 0; index--) {
        const lot = this.expiring[index];
        if (!lot) break;
        seen += lot.remaining - lot.held;
        if (seen === row.availableAfter) return;
      }
    }
    this.find(`row ${row.seq}`, `available ${row.availableAfter}`, `${this.free} by lots, holds and expiries`);
  }

  /** Lots whose time has come by an instant are not free any more. */
  private lapse(at: number): void {
    for (; this.lapsedCount < this.expiring.length; this.lapsedCount++) {
      const lot = this.expiring[this.lapsedCount];
      if (!lot || (lot.stored.expiresAt ?? 0) > at) return;
      this.free -= lot.remaining - lot.held;
      lot.lapsed = true;
    }
  }

  private setLot(lot: LotState, remaining: number, held: number): void {
    if (!lot.lapsed) this.free += remaining - held - (lot.remaining - lot.held);
    lot.remaining = remaining;
    lot.held = held;
  }

  /** Does what a row's entries say to the lots. @returns the lots that it made */
  private move(row: StoredRow, entries: readonly StoredEntry[]): LotState[] {
    const where = `row ${row.seq}`;
    const made: LotState[] = [];
    let amount = 0;
    let held = 0;
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index] as StoredEntry;
      amount += entry.amount;
      held += entry.held;
      if (entry.position !== index + 1) this.find(where, `entry ${entry.position}`, `entry ${index + 1}`);
      const lot = this.lots.get(entry.grantId);
      if (!lot) this.find(where, `moves ${entry.amount} in lot ${entry.grantId}`, "there is no such lot");
      else if (this.moveLot(row, entry, lot)) made.push(lot);
    }
    if (amount !== row.amount) this.find(where, `amount ${row.amount}`, `${amount} by its entries`);
    if (held !== row.held) this.find(where, `sets aside ${row.held}`, `${held} by its entries`);
    return made;
  }

  /** @returns whether this row made the lot */
  private moveLot(row: StoredRow, entry: StoredEntry, lot: LotState): boolean {
    const where = `row ${row.seq}`;
    const name = `lot ${entry.grantId}`;
    let isNew = false;
    if (lot.madeBy === null) {
      isNew = MAKES_LOTS.has(row.type) && entry.amount > 0;
      lot.madeBy = row.seq;
      lot.chained = row.hash !== null;
      if (!isNew) this.find(where, `moves ${entry.amount} in ${name}`, "no row before it made this lot");
      else if (lot.stored.amount !== entry.amount) {
        this.find(name, `amount ${lot.stored.amount}`, `${entry.amount} by row ${row.seq}, which made it`);
      }
    }
    const remaining = lot.remaining + entry.amount;
    const heldNow = lot.held + entry.held;
    if (entry.lotAfter !== remaining) {
      this.find(
        where,
        `leaves ${entry.lotAfter} in ${name}`,
        `${lot.remaining} + ${entry.amount} = ${remaining} by the entries before it`,
      );
    }
    if (heldNow < 0 || heldNow > entry.lotAfter) {
      this.find(where, `sets ${heldNow} aside in ${name}`, `between 0 and ${entry.lotAfter}`);
    }
    this.setLot(lot, entry.lotAfter, heldNow);
    if (row.holdId === null) lot.frozen += entry.held;
    if (row.type === "transfer" && entry.amount < 0) lot.transferred -= entry.amount;
    if (row.type === "expiry") lot.expired -= entry.amount;
    return isNew;
  }

  private link(row: StoredRow, entries: readonly StoredEntry[], newLots: readonly LotState[]): void {
    const where = `row ${row.seq}`;
    if (row.hash === null) {
      if (this.chainedSince !== null) this.find(where, "no hash", `every row since row ${this.chainedSince} has one`);
      this.hash = null;
      return;
    }
    const previous = this.chainedSince === null ? "" : this.hash;
    this.chainedSince ??= row.seq;
    const at = row.at.getTime();
    if (seqOfTransactionId(row.id) !== row.seq) {
      this.find(where, `id ${row.id}`, `its id was made for row ${seqOfTransactionId(row.id)}`);
    }
    if (instantOfId(row.id).getTime() !== at)
      this.find(where, `at ${say(at)}`, `${say(instantOfId(row.id).getTime())} by its id`);
    if (at < this.at) this.find(where, `at ${say(at)}`, `not before row ${this.seq}, at ${say(this.at)}`);
    this.hash = row.hash;
    // Of a row whose predecessor is missing or has no hash nothing can be said.
    if (this.gap || previous === null) return;
    row.entries = entries as StoredEntry[];
    if (newLots.length > 0) row.newLots = newLots.map(chainedLot);
    const computed = hashRow(previous, this.organizationId, row);
    if (computed === row.hash) return;
    const lots = newLots.length > 0 ? `, with lot ${newLots.map((lot) => lot.stored.id).join(", ")} that it made` : "";
    this.find(where, `hash ${short(row.hash)}`, `${short(computed)} by what it says${lots}, after row ${row.seq - 1}`);
  }

  private requireHead(head: Head, row: StoredRow): void {
    if (head.hash !== row.hash) {
      this.find(`row ${row.seq}`, `hash ${short(row.hash)}`, `${short(head.hash)} when the heads were written`);
    } else if (head.balance !== row.balanceAfter) {
      this.find(`row ${row.seq}`, `balance ${row.balanceAfter}`, `${head.balance} when the heads were written`);
    }
  }

  /** Compares what the rows led to with what lots and account say. */
  finish(): void {
    if (this.expectedHead && this.expectedHead.seq > this.seq) {
      this.find("ledger", `ends at row ${this.seq}`, `it had row ${this.expectedHead.seq} when the heads were written`);
    }
    for (const lot of this.lots.values()) this.finishLot(lot);
    const { account } = this;
    if (account === null) {
      this.find("account", "missing", `an account for a ledger of ${this.seq} rows`);
      return;
    }
    if (account.lastSeq > this.seq) {
      const first = this.seq + 1;
      const names = first === account.lastSeq ? `row ${first}` : `rows ${first} to ${account.lastSeq}`;
      this.find(names, "missing", `the account's ledger ends at row ${account.lastSeq}`);
    } else if (account.lastSeq < this.seq) {
      const first = account.lastSeq + 1;
      const names = first === this.seq ? `row ${first}` : `rows ${first} to ${this.seq}`;
      this.find(names, "in the ledger", `the account's ledger ends at row ${account.lastSeq}`);
    }
    if (account.balance !== this.balance) this.find("account", `balance ${account.balance}`, this.balance);
    if (account.held !== this.held) this.find("account", `held ${account.held}`, this.held);
    if (account.debt !== this.debt) this.find("account", `debt ${account.debt}`, this.debt);
    if (account.lastHash !== this.hash) {
      this.find("account", `hash ${short(account.lastHash)}`, `${short(this.hash)} by row ${this.seq}`);
    }
    if (this.chainedSince !== null && account.lastAt !== this.at) {
      this.find("account", `last row at ${say(account.lastAt)}`, `${say(this.at)} by row ${this.seq}`);
    }
    const left = [...this.lots.values()].reduce((sum, lot) => sum + lot.stored.remaining, 0);
    if (left !== this.balance) this.find("account", `balance ${this.balance} by the ledger`, `${left} by its lots`);
  }

  private finishLot(lot: LotState): void {
    const { stored } = lot;
    const name = `lot ${stored.id}`;
    if (lot.madeBy === null) {
      this.find(name, `${stored.amount} credits`, "no row of the ledger made it");
      return;
    }
    const compare = (what: string, says: number, should: number) => {
      if (says !== should) this.find(name, `${what} ${says}`, `${should} by its entries`);
    };
    compare("remaining", stored.remaining, lot.remaining);
    compare("held", stored.held, lot.held);
    compare("frozen", stored.frozen, lot.frozen);
    if (lot.chained) {
      compare("transferred", stored.transferred, lot.transferred);
      compare("expired", stored.expired, lot.expired);
      if (instantOfId(stored.id).getTime() !== stored.createdAt) {
        this.find(name, `made at ${say(stored.createdAt)}`, `${say(instantOfId(stored.id).getTime())} by its id`);
      }
    }
    if (stored.open !== stored.remaining > 0) {
      this.find(name, stored.open ? "open" : "closed", `${stored.remaining} credits are left`);
    }
  }
}

function chainedLot({ stored }: LotState): ChainedRow["newLots"][number] {
  const expiresAt = stored.expiresAt === null ? null : new Date(stored.expiresAt);
  return { ...stored, amount: stored.amount as Credits, expiresAt, label: "" };
}

function short(hash: string | null): string {
  return hash === null ? "none" : `${hash.slice(0, 12)}…`;
}

function say(at: number | null): string {
  return at === null || Number.isNaN(new Date(at).getTime()) ? "no instant" : new Date(at).toISOString();
}
