// The chain of hashes: each ledger row's hash covers the row before it and everything that the row says.
import type { LedgerRow, NewLot } from "~/domain/account";
import { canonicalJson, sha256 } from "../../db/keys";

/** A row as the chain covers it; what `ledger:verify` reads back from the tables. */
export type ChainedRow = Omit<LedgerRow, "entries" | "newLots"> & {
  entries: { grantId: string; amount: number; held: number; lotAfter: number }[];
  newLots: Omit<NewLot, "createdAt">[];
};

/**
 * The hash of a row.
 * @param before the hash of the row before it, hex; empty for the first of a chain
 * @returns SHA-256, hex
 */
export function hashRow(before: string, organizationId: string, row: ChainedRow): string {
  // A list, not an object: its order is the order of the fields, and its text is quick to make.
  const fields: unknown[] = [
    before,
    organizationId,
    row.seq,
    row.id,
    row.type,
    row.amount,
    row.held,
    row.debt,
    row.balanceAfter,
    row.availableAfter,
    row.key.space,
    row.key.key,
    row.key.requestHash,
    row.event === null ? 0 : [row.event.id, row.event.name, row.event.version, row.event.cost, row.event.perUnits],
    row.quantity,
    row.correctsSeq,
    row.holdId,
    row.reference ?? null,
    row.project ?? null,
    row.memberId ?? null,
    row.reason ?? null,
    row.actor,
    row.apiKeyId ?? null,
    row.metadata == null ? null : canonicalJson(row.metadata),
    row.at.getTime(),
    row.entries.map((entry) => [entry.grantId, entry.amount, entry.held, entry.lotAfter]),
  ];
  if (row.newLots.length > 0) fields.push(row.newLots.map(lotFields));
  return sha256(JSON.stringify(fields));
}

function lotFields(lot: Omit<NewLot, "createdAt">): (string | number | boolean | null)[] {
  return [
    lot.id,
    lot.source,
    lot.amount,
    lot.expiresAt?.getTime() ?? null,
    lot.transferable,
    lot.planId ?? null,
    lot.planVersion ?? null,
    lot.priceId ?? null,
    lot.productId ?? null,
    lot.stripeInvoiceId ?? null,
    lot.stripePaymentId ?? null,
    lot.stripeSessionId ?? null,
    lot.originOrganizationId ?? null,
    lot.originGrantId ?? null,
    lot.originSource ?? null,
  ];
}
