// From decided accounts to the parameters of the one statement that writes them.
import type { Account } from "~/domain/account";
import { hashRow } from "./chain";

/**
 * Columns as array literals: text made in one pass is several times quicker than a driver's own way of sending arrays, and
 * a flush has thousands of values.
 */
class Columns<Name extends string> {
  private readonly columns: Record<Name, string[]>;

  constructor(private readonly names: readonly Name[]) {
    this.columns = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, string[]>;
  }

  add(values: Record<Name, string | number | boolean | null>): void {
    for (const name of this.names) {
      const value = values[name];
      this.columns[name].push(value === null ? "NULL" : String(value));
    }
  }

  literals(): string[] {
    return this.names.map((name) => `{${this.columns[name].join(",")}}`);
  }
}

const NEEDS_ESCAPE = /["\\]/g;

/** Text as an element of an array literal. */
function text(value: string | null | undefined): string | null {
  return value == null ? null : `"${value.replace(NEEDS_ESCAPE, "\\$&")}"`;
}

const ACCOUNT = ["org", "expected", "changed", "balance", "held", "debt", "seq", "at", "hash"] as const;
const KEY = ["account", "space", "key"] as const;
const LOT = ["account", "id", "amount", "held"] as const;
const ROW = [
  "account",
  "seq",
  "id",
  "type",
  "amount",
  "held",
  "debt",
  "balance",
  "available",
  "space",
  "key",
  "request",
  "event",
  "eventName",
  "eventVersion",
  "quantity",
  "unitCost",
  "perUnits",
  "corrects",
  "hold",
  "reference",
  "project",
  "member",
  "reason",
  "actor",
  "apiKey",
  "metadata",
  "at",
  "hash",
] as const;
const ENTRY = ["account", "seq", "position", "lot", "amount", "held", "after"] as const;

/**
 * The parameters of `ledger_write` and `ledger_flush`, in their order, and advances each account's chain and version.
 * @param epoch what the rate card and keys were remembered from; null where they were read under the lock
 */
export function writeParameters(accounts: readonly Account[], epoch: number | null): (string | null)[] {
  const accountColumns = new Columns(ACCOUNT);
  const keyColumns = new Columns(KEY);
  const lotColumns = new Columns(LOT);
  const rowColumns = new Columns(ROW);
  const entryColumns = new Columns(ENTRY);
  for (const [index, account] of accounts.entries()) {
    const number = index + 1;
    const { state } = account;
    for (const row of account.rows) {
      state.lastHash = hashRow(state.lastHash ?? "", state.organizationId, row);
      rowColumns.add({
        account: number,
        seq: row.seq,
        id: row.id,
        type: row.type,
        amount: row.amount,
        held: row.held,
        debt: row.debt,
        balance: row.balanceAfter,
        available: row.availableAfter,
        space: row.key.space,
        key: text(row.key.key),
        request: row.key.requestHash === row.key.key ? text(row.key.key) : row.key.requestHash,
        event: row.event?.id ?? null,
        eventName: text(row.event?.name),
        eventVersion: row.event?.version ?? null,
        quantity: row.quantity,
        unitCost: row.event?.cost ?? null,
        perUnits: row.event?.perUnits ?? null,
        corrects: row.correctsSeq,
        hold: row.holdId,
        reference: text(row.reference),
        project: text(row.project),
        member: row.memberId ?? null,
        reason: text(row.reason),
        actor: text(row.actor),
        apiKey: row.apiKeyId ?? null,
        metadata: row.metadata == null ? null : text(JSON.stringify(row.metadata)),
        at: row.at.toISOString(),
        hash: state.lastHash,
      });
      for (const [position, entry] of row.entries.entries()) {
        entryColumns.add({
          account: number,
          seq: row.seq,
          position: position + 1,
          lot: entry.grantId,
          amount: entry.amount,
          held: entry.held,
          after: entry.lotAfter,
        });
      }
    }
    for (const key of account.unknownKeys) keyColumns.add({ account: number, space: key.space, key: text(key.key) });
    const claimed = new Set([...account.changedClaims].map((lot) => lot.id));
    for (const [id, change] of account.changedLots) {
      if (claimed.has(id)) continue;
      if (change.amount !== 0 || change.held !== 0)
        lotColumns.add({ account: number, id, amount: change.amount, held: change.held });
    }
    accountColumns.add({
      org: state.organizationId,
      expected: account.expectedVersion,
      changed: account.isChanged,
      balance: state.balance,
      held: state.held,
      debt: state.debt,
      seq: state.lastSeq,
      at: state.lastAt?.toISOString() ?? null,
      hash: state.lastHash,
    });
    if (account.isChanged) state.version = account.expectedVersion + 1;
  }
  return [
    epoch === null ? null : String(epoch),
    ...accountColumns.literals(),
    ...keyColumns.literals(),
    ...lotColumns.literals(),
    ...rowColumns.literals(),
    ...entryColumns.literals(),
    rest(accounts),
  ];
}

/** How many parameters there are. */
export const PARAMETER_COUNT = 2 + ACCOUNT.length + KEY.length + LOT.length + ROW.length + ENTRY.length;

/** What most flushes have none of. */
function rest(accounts: readonly Account[]): string | null {
  const lots: unknown[] = [];
  const claims: unknown[] = [];
  const holds: unknown[] = [];
  const usage: unknown[] = [];
  const suspended: unknown[] = [];
  for (const [index, account] of accounts.entries()) {
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
      const change = account.changedLots.get(lot.id);
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
