// From decided accounts to the parameters of the one statement that writes them.
import type { Account } from "~/domain/account";
import type { PricedEvent } from "~/domain/rate-card";
import { newVersion } from "../../db/keys";
import { hashRow } from "./chain";

/**
 * A column as an array literal: text made in one pass is several times quicker than a driver's own way of sending arrays,
 * and a flush has thousands of values.
 */
class Column {
  private readonly values: (string | number | boolean)[] = [];
  private nulls = 0;

  /** @param value null where it is what nearly all are, which the statement knows */
  add(value: string | number | boolean | null | undefined): void {
    if (value === null || value === undefined) {
      this.nulls += 1;
      return;
    }
    for (; this.nulls > 0; this.nulls--) this.values.push("NULL");
    this.values.push(value);
  }

  get size(): number {
    return this.values.length + this.nulls;
  }

  /** Nulls at the end are left out: beyond an array's end all is null. */
  get literal(): string {
    return `{${this.values.join(",")}}`;
  }
}

const NEEDS_ESCAPE = /["\\]/;
const TO_ESCAPE = /["\\]/g;

/** Text as an element of an array literal. */
function text(value: string | null | undefined): string | null {
  if (value == null) return null;
  return NEEDS_ESCAPE.test(value) ? `"${value.replace(TO_ESCAPE, "\\$&")}"` : `"${value}"`;
}

/** Null for zero, which the statement fills in. */
function orZero(value: number): number | null {
  return value === 0 ? null : value;
}

/** The columns of `ledger_write`, in its order, each with its type. */
const TYPES = {
  accountOrg: "uuid[]",
  accountExpected: "bigint[]",
  accountVersion: "bigint[]",
  accountBalance: "bigint[]",
  accountHeld: "bigint[]",
  accountDebt: "bigint[]",
  accountRow: "int[]",
  lotId: "uuid[]",
  changeAccount: "int[]",
  changeLot: "int[]",
  changeAmount: "bigint[]",
  changeHeld: "bigint[]",
  eventId: "uuid[]",
  eventName: "text[]",
  eventVersion: "int[]",
  eventCost: "bigint[]",
  eventPerUnits: "bigint[]",
  whoActor: "text[]",
  whoApiKey: "uuid[]",
  rowAccount: "int[]",
  rowSeq: "bigint[]",
  rowId: "uuid[]",
  rowType: "text[]",
  rowAmount: "bigint[]",
  rowHeld: "bigint[]",
  rowDebt: "bigint[]",
  rowBalance: "bigint[]",
  rowAvailable: "bigint[]",
  rowSpace: "key_space[]",
  rowKey: "text[]",
  rowRequest: "text[]",
  rowEvent: "int[]",
  rowQuantity: "bigint[]",
  rowCorrects: "bigint[]",
  rowHold: "uuid[]",
  rowReference: "text[]",
  rowProject: "text[]",
  rowMember: "uuid[]",
  rowReason: "text[]",
  rowWho: "int[]",
  rowMetadata: "text[]",
  rowAt: "float8[]",
  rowHash: "text[]",
  rowLot: "int[]",
  rowLotAfter: "bigint[]",
  rowStartsRun: "boolean[]",
  entryRow: "int[]",
  entryPosition: "int[]",
  entryLot: "int[]",
  entryAmount: "bigint[]",
  entryHeld: "bigint[]",
  entryAfter: "bigint[]",
  keyAccount: "int[]",
  keySpace: "key_space[]",
  keyText: "text[]",
} as const;

type ColumnName = keyof typeof TYPES;
const NAMES = Object.keys(TYPES) as ColumnName[];

/** The types of the parameters, in order. */
export const PARAMETER_TYPES: readonly string[] = ["bigint", "jsonb", ...Object.values(TYPES)];

/** What is long and said often is sent once, and pointed to by its number. */
class Numbered {
  private readonly numbers = new Map<string, number>();

  /** @param add called for what has not been seen yet */
  of(key: string, add: () => void): number {
    const known = this.numbers.get(key);
    if (known !== undefined) return known;
    add();
    this.numbers.set(key, this.numbers.size + 1);
    return this.numbers.size;
  }
}

/**
 * The parameters of `ledger_write`, in their order; advances each account's chain and version.
 * @param epoch what the rate card and keys were remembered from; null where they were read under the lock
 * @param asksForRows whether the keys of new rows are looked up before the write; otherwise one that is known makes it fail
 */
export function writeParameters(
  accounts: readonly Account[],
  epoch: number | null,
  asksForRows = false,
): (string | null)[] {
  const to = Object.fromEntries(NAMES.map((name) => [name, new Column()])) as Record<ColumnName, Column>;
  const lots = new Numbered();
  const events = new Numbered();
  const spenders = new Numbered();
  const lotNumber = (id: string) => lots.of(id, () => to.lotId.add(id));
  for (const [index, account] of accounts.entries()) {
    const number = index + 1;
    const { state } = account;
    for (const row of account.rows) {
      state.lastHash = hashRow(state.lastHash ?? "", state.organizationId, row);
      to.rowAccount.add(number);
      to.rowSeq.add(row.seq);
      to.rowId.add(row.id);
      to.rowType.add(row.type === "consume" ? null : row.type);
      to.rowAmount.add(row.amount);
      to.rowHeld.add(orZero(row.held));
      to.rowDebt.add(orZero(row.debt));
      to.rowBalance.add(row.balanceAfter);
      to.rowAvailable.add(row.availableAfter);
      to.rowSpace.add(row.key.space === "caller" ? null : row.key.space);
      to.rowKey.add(text(row.key.key));
      to.rowRequest.add(text(row.key.requestHash));
      to.rowEvent.add(row.event === null ? null : events.of(eventKey(row.event), () => addEvent(to, row.event)));
      to.rowQuantity.add(row.quantity);
      to.rowCorrects.add(row.correctsSeq);
      to.rowHold.add(row.holdId);
      to.rowReference.add(text(row.reference));
      to.rowProject.add(text(row.project));
      to.rowMember.add(row.memberId);
      to.rowReason.add(text(row.reason));
      to.rowWho.add(
        spenders.of(`${row.apiKeyId ?? ""} ${row.actor}`, () => {
          to.whoActor.add(text(row.actor));
          to.whoApiKey.add(row.apiKeyId);
        }),
      );
      to.rowMetadata.add(row.metadata == null ? null : text(JSON.stringify(row.metadata)));
      to.rowAt.add(row.at.getTime());
      to.rowHash.add(state.lastHash);
      const { entries } = row;
      // A row that touches one lot, as nearly all do, names it itself.
      const only = entries.length === 1 ? entries[0] : undefined;
      to.rowLot.add(only && lotNumber(only.grantId));
      to.rowLotAfter.add(only && orZero(only.lotAfter));
      const lot = only?.grantId ?? null;
      to.rowStartsRun.add(lot === state.lastLot ? null : true);
      state.lastLot = lot;
      if (only) continue;
      for (const [position, entry] of entries.entries()) {
        to.entryRow.add(to.rowSeq.size);
        to.entryPosition.add(position + 1);
        to.entryLot.add(lotNumber(entry.grantId));
        to.entryAmount.add(orZero(entry.amount));
        to.entryHeld.add(orZero(entry.held));
        to.entryAfter.add(orZero(entry.lotAfter));
      }
    }
    const asked = asksForRows ? [...account.unknownKeys, ...account.rows.map((row) => row.key)] : account.unknownKeys;
    for (const key of asked) {
      to.keyAccount.add(number);
      to.keySpace.add(key.space);
      to.keyText.add(text(key.key));
    }
    const claimed = account.hasRareChanges ? new Set([...account.changedClaims].map((lot) => lot.id)) : null;
    for (const change of account.changedLots) {
      if (claimed?.has(change.id) || (change.amount === 0 && change.held === 0)) continue;
      to.changeAccount.add(number);
      to.changeLot.add(lotNumber(change.id));
      to.changeAmount.add(change.amount);
      to.changeHeld.add(orZero(change.held));
    }
    if (account.isChanged) state.version = newVersion();
    to.accountOrg.add(state.organizationId);
    to.accountExpected.add(account.expectedVersion);
    to.accountVersion.add(state.version);
    to.accountBalance.add(state.balance);
    to.accountHeld.add(orZero(state.held));
    to.accountDebt.add(orZero(state.debt));
    to.accountRow.add(account.rows.length > 0 ? to.rowSeq.size : null);
  }
  return [epoch === null ? null : String(epoch), rest(accounts), ...NAMES.map((name) => to[name].literal)];
}

function eventKey(event: PricedEvent): string {
  return `${event.id} ${event.version} ${event.cost} ${event.perUnits}`;
}

function addEvent(to: Record<ColumnName, Column>, event: PricedEvent | null): void {
  to.eventId.add(event?.id);
  to.eventName.add(text(event?.name));
  to.eventVersion.add(event?.version);
  to.eventCost.add(event?.cost);
  to.eventPerUnits.add(event?.perUnits);
}

/** What most flushes have none of. */
function rest(accounts: readonly Account[]): string | null {
  if (!accounts.some((account) => account.hasRareChanges)) return null;
  const lots: unknown[] = [];
  const claims: unknown[] = [];
  const holds: unknown[] = [];
  const usage: unknown[] = [];
  const suspended: unknown[] = [];
  for (const [index, account] of accounts.entries()) {
    if (!account.hasRareChanges) continue;
    const number = index + 1;
    for (const made of account.newLots.values()) {
      const lot = account.findLot(made.id);
      lots.push({
        account: number,
        id: made.id,
        source: made.source,
        amount: made.amount,
        remaining: lot?.remaining ?? 0,
        held: lot?.held ?? 0,
        frozen: lot?.frozen ?? 0,
        to_take: lot?.toTake ?? 0,
        taken: lot?.taken ?? 0,
        to_freeze: lot?.toFreeze ?? 0,
        transferred: lot?.transferred ?? 0,
        expired: lot?.expired ?? 0,
        transferable: made.transferable,
        expires_at: made.expiresAt,
        label: made.label,
        plan_id: made.planId,
        plan_version: made.planVersion,
        price_id: made.priceId,
        product_id: made.productId,
        stripe_invoice_id: made.stripeInvoiceId,
        stripe_payment_id: made.stripePaymentId,
        stripe_session_id: made.stripeSessionId,
        origin_organization_id: made.originOrganizationId,
        origin_grant_id: made.originGrantId,
        origin_source: made.originSource,
        created_at: made.createdAt,
      });
    }
    for (const lot of account.changedClaims) {
      if (account.newLots.has(lot.id)) continue;
      const change = account.changedLots.find((candidate) => candidate.id === lot.id);
      claims.push({
        account: number,
        id: lot.id,
        amount: change?.amount ?? 0,
        held_change: change?.held ?? 0,
        frozen: lot.frozen,
        to_take: lot.toTake,
        taken: lot.taken,
        to_freeze: lot.toFreeze,
        transferred: lot.transferred,
        expired: lot.expired,
      });
    }
    for (const hold of account.changedHolds) {
      holds.push({
        account: number,
        id: hold.id,
        kind: hold.kind,
        amount: hold.amount,
        captured: hold.captured,
        remaining: hold.remaining,
        lots: hold.lots,
        budgets: hold.budgets.length > 0 ? hold.budgets : null,
        open: hold.open,
        event_name: hold.eventName,
        project: hold.project,
        member_id: hold.memberId,
        api_key_id: hold.apiKeyId,
        actor: hold.actor,
        lease_ends_at: hold.leaseEndsAt,
        created_at: hold.createdAt,
        ended_at: hold.endedAt,
      });
    }
    for (const change of account.changedUsage.values()) {
      if (change.change === 0) continue;
      usage.push({
        account: number,
        budget_id: change.budgetId,
        window_start: new Date(change.windowStart),
        change: change.change,
      });
    }
    if (account.suspension) suspended.push({ account: number, ...account.suspension });
  }
  const parts = Object.entries({ lots, claims, holds, usage, suspended }).filter(([, list]) => list.length > 0);
  return parts.length === 0 ? null : JSON.stringify(Object.fromEntries(parts));
}
