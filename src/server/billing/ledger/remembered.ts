// What a process remembers of accounts, the rate card and API keys, so that a flush need not load them. Never trusted by
// itself: each write says what it was decided on, and the database refuses where that is not so any more.
import type { AccountState } from "~/domain/account";
import type { RateCard } from "./load";

// About two kilobytes each with five lots: some two hundred megabytes where there are that many that spend.
const MOST_ACCOUNTS = 100_000;
/** Of lots and holds in all: it is they that take the room. */
const MOST_PARTS = 6 * MOST_ACCOUNTS;
/** An account with more of them is loaded each time: it would crowd out hundreds of others. */
const MOST_PARTS_OF_ONE = 200;
const MOST_KEYS = 10_000;

interface Kept {
  state: AccountState;
  /** Number of its loading, later ones being higher. */
  loaded: number;
  /** Whether it was asked for since it was last about to go. */
  isUsed: boolean;
  /** Lots and holds that it was last counted with. */
  parts: number;
}

export class Remembered {
  /** Those that are next to go first. */
  private readonly accounts = new Map<string, Kept>();
  private readonly keys = new Map<string, number>();
  private parts = 0;
  private tick = 0;
  rateCard: RateCard | null = null;

  find(organizationId: string): Kept | undefined {
    const found = this.accounts.get(organizationId);
    if (found) found.isUsed = true;
    return found;
  }

  /** A number for a question that is about to be asked; what it brings is as old as the question. */
  nextTick(): number {
    this.tick += 1;
    return this.tick;
  }

  keep(state: AccountState, loaded: number = this.nextTick()): void {
    this.forget(state.organizationId);
    this.accounts.set(state.organizationId, { state, loaded, isUsed: false, parts: 0 });
    this.keepWithinBounds(state);
  }

  /** Counts an account's parts anew. Lets it go where it has grown too large to be kept, and others where all are too many. */
  keepWithinBounds(state: AccountState): void {
    const kept = this.accounts.get(state.organizationId);
    if (kept?.state !== state) return;
    const parts = state.lots.length + state.holds.size;
    this.parts += parts - kept.parts;
    kept.parts = parts;
    if (parts > MOST_PARTS_OF_ONE) this.forget(state.organizationId);
    while (this.accounts.size > MOST_ACCOUNTS || this.parts > MOST_PARTS) this.letOneGo();
  }

  /** The first that was not used since it was last spared. Moving each account each time that it is used would cost more. */
  private letOneGo(): void {
    for (const [organizationId, kept] of this.accounts) {
      if (!kept.isUsed) {
        this.forget(organizationId);
        return;
      }
      kept.isUsed = false;
      this.accounts.delete(organizationId);
      this.accounts.set(organizationId, kept);
    }
  }

  forget(organizationId: string): void {
    this.parts -= this.accounts.get(organizationId)?.parts ?? 0;
    this.accounts.delete(organizationId);
  }

  /** Keeps the later of two: with an old one, accounts that were loaded since would never be taken the quick way. */
  keepRateCard(rateCard: RateCard): RateCard {
    if (this.rateCard === null || this.rateCard.epoch < rateCard.epoch) this.rateCard = rateCard;
    return this.rateCard;
  }

  /** When the epoch has changed nothing can be relied on. */
  forgetAll(): void {
    this.accounts.clear();
    this.parts = 0;
    this.keys.clear();
    this.rateCard = null;
  }

  /**
   * Whether an API key was seen valid when an account was loaded, or later. A key that is revoked later raises the account's version,
   * or the epoch, so the write itself will tell.
   */
  isKeyValidFor(apiKeyId: string, loaded: number): boolean {
    return (this.keys.get(apiKeyId) ?? -1) >= loaded;
  }

  keepKey(apiKeyId: string, asked: number): void {
    if (this.keys.size >= MOST_KEYS) this.keys.clear();
    this.keys.set(apiKeyId, asked);
  }
}

const MOST_CONTENDED = 10_000;
const LONGEST_PENALTY = 16;

/**
 * Accounts that another process changes as often as this one: what is remembered of them is always outdated, and deciding on
 * it is work for nothing. They are locked at once for a while, longer each time.
 */
export class Contended {
  private readonly accounts = new Map<string, { penalty: number; left: number }>();

  /** Whether the account is to be locked this time. */
  mustLock(organizationId: string): boolean {
    const known = this.accounts.get(organizationId);
    if (!known || known.left === 0) return false;
    known.left -= 1;
    return true;
  }

  noteStale(organizationId: string): void {
    const before = this.accounts.get(organizationId)?.penalty ?? 0;
    const penalty = Math.min(LONGEST_PENALTY, before === 0 ? 1 : before * 2);
    if (this.accounts.size >= MOST_CONTENDED) this.accounts.clear();
    this.accounts.set(organizationId, { penalty, left: penalty });
  }

  noteQuick(organizationId: string): void {
    if (this.accounts.size > 0) this.accounts.delete(organizationId);
  }
}
