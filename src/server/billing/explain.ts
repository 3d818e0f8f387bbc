// Answers to "why": what a ledger row was and under which rate, where its credits came from, and what a balance was made of
// at any instant.
import type { TransactionType } from "~/domain/account";
import { type Credits, type GrantSource, toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { costOf } from "~/domain/rate-card";
import { asOrganization, type Transaction } from "../db";
import { seqOfTransactionId } from "../db/keys";
import { seqAt } from "./ledger/instants";
import { movementsOf } from "./ledger/movements";
import { type LotOrigin, nameGivers, originsOf, type ReadOrigin } from "./lot-origins";
import { type RowSummary, type StoredTransaction, summaryOf } from "./transactions";

export interface ExplainedTransaction extends RowSummary {
  kind: "transaction";
  /** Why there is this row, in a sentence. */
  cause: string;
  availableAfter: number;
  actor: string;
  project: string | null;
  memberId: string | null;
  reference: string | null;
  /** Each lot that it moved, in order, with where its credits came from. */
  lots: {
    grantId: string;
    label: string;
    source: GrantSource;
    expiresAt: Date | null;
    before: number;
    amount: number;
    /** Change of what is set aside of it. */
    held: number;
    after: number;
    origin: LotOrigin | null;
  }[];
  /** The rate that it was made under; null where nothing was priced. */
  rate: {
    cost: number;
    perUnits: number;
    version: number | null;
    /** Whether it was the organization's own, and since when it counts. */
    isOwn: boolean;
    since: Date | null;
    /** `quantity × cost / perUnits`, rounded up; null where no quantity was said. */
    credits: number | null;
  } | null;
  hold: {
    id: string;
    kind: "work" | "gift";
    amount: number;
    captured: number;
    remaining: number;
    open: boolean;
    leaseEndsAt: Date;
    /** Its rows, oldest first. */
    rows: RowSummary[];
  } | null;
  corrects: RowSummary | null;
  correctedBy: RowSummary[];
}

export interface ExplainedLot {
  grantId: string;
  label: string;
  source: GrantSource;
  amount: number;
  expiresAt: Date | null;
  /** What was left of it; what of that holds and disputes had set aside; what could be spent. */
  remaining: number;
  held: number;
  free: number;
  origin: LotOrigin | null;
}

/** `balance` = `available` + `held` + `expired`, and the sum of the lots' `remaining`. */
export interface ExplainedBalance {
  kind: "balance";
  at: Date;
  /** The last row by then; 0 where there was none. */
  seq: number;
  balance: number;
  available: number;
  held: number;
  /** Past its expiry by then, which was not in the ledger yet. */
  expired: number;
  debt: number;
  lots: ExplainedLot[];
  /** The latest rows by then, newest first. */
  rows: RowSummary[];
}

const LATEST_ROWS = 10;
const MOST_HOLD_ROWS = 100;

/** An explanation before the givers of its lots are named. */
type Read<Explained extends { lots: { origin: LotOrigin | null }[] }> = Omit<Explained, "lots"> & {
  lots: (Omit<Explained["lots"][number], "origin"> & { origin: ReadOrigin | null })[];
};

/** What a row was, why, under which rate, and where its credits came from. @throws BillingError NOT_FOUND */
export async function explainTransaction(organizationId: string, transactionId: string): Promise<ExplainedTransaction> {
  const read = await readTransaction(organizationId, transactionId);
  return { ...read, lots: await nameGivers(read.lots) };
}

function readTransaction(organizationId: string, transactionId: string): Promise<Read<ExplainedTransaction>> {
  return asOrganization(organizationId, async (tx) => {
    const seq = BigInt(seqOfTransactionId(transactionId));
    const row = await tx.creditTransaction.findFirst({ where: { organizationId, seq, id: transactionId } });
    if (!row) throw new BillingError("NOT_FOUND", "There is no such transaction.", { transactionId });
    const corrected =
      row.correctsSeq === null
        ? null
        : await tx.creditTransaction.findFirst({ where: { organizationId, seq: row.correctsSeq } });
    const correctedBy = await tx.creditTransaction.findMany({
      where: { organizationId, correctsSeq: seq },
      orderBy: { seq: "asc" },
    });
    return {
      kind: "transaction",
      ...summaryOf(row),
      cause: causeInWords(row, corrected),
      availableAfter: toCredits(row.availableAfter),
      actor: row.actor,
      project: row.project,
      memberId: row.memberId,
      reference: row.reference,
      lots: await movedLots(tx, organizationId, seq),
      rate: await rateOf(tx, row),
      hold: row.holdId === null ? null : await holdOf(tx, organizationId, row.holdId),
      corrects: corrected && summaryOf(corrected),
      correctedBy: correctedBy.map(summaryOf),
    };
  });
}

const CAUSES: Record<TransactionType, string> = {
  grant: "Credits came with the subscription",
  purchase: "Credits were bought",
  promotion: "Credits were given as a promotion",
  adjustment: "The platform adjusted the balance",
  consume: "Credits were spent",
  reversal: "Spent credits were given back",
  expiry: "Credits were not spent in time",
  refund: "Money was given back",
  dispute: "A payment was disputed",
  transfer: "Credits went from one organization to another",
  hold: "Credits were set aside for work whose cost was not known yet",
  release: "Credits that had been set aside became free",
  debt: "Credits paid a debt",
};

/** Why there is a row, in a sentence: what it is, and what its own words say. */
function causeInWords(row: StoredTransaction, corrected: StoredTransaction | null): string {
  const what = CAUSES[row.type];
  if (row.type === "consume") {
    const event =
      row.eventName === null ? "" : ` on ${row.quantity === null ? "" : `${row.quantity} × `}${row.eventName}`;
    return `${what}${event}${row.holdId === null ? "" : ", from what a hold had set aside"}.`;
  }
  const of = corrected === null ? "" : ` of entry ${corrected.seq}`;
  return `${what}${of}${row.reason === null ? "" : `: ${row.reason}`}.`;
}

async function movedLots(
  tx: Transaction,
  organizationId: string,
  seq: bigint,
): Promise<Read<ExplainedTransaction>["lots"]> {
  const movements = await movementsOf(tx, organizationId, [seq]);
  const ids = movements.map((movement) => movement.grantId);
  const grants = await tx.creditGrant.findMany({ where: { organizationId, id: { in: ids } } });
  const lots = new Map(grants.map((lot) => [lot.id, lot]));
  const origins = await originsOf(tx, organizationId, ids);
  return movements.flatMap((movement) => {
    const lot = lots.get(movement.grantId);
    if (!lot) return [];
    return {
      grantId: lot.id,
      label: lot.label,
      source: lot.source,
      expiresAt: lot.expiresAt,
      before: Number(movement.lotAfter - movement.amount),
      amount: Number(movement.amount),
      held: Number(movement.held),
      after: Number(movement.lotAfter),
      origin: origins.get(lot.id) ?? null,
    };
  });
}

/** The rate of a row: its numbers are the row's own; the rate card only adds whose it was and since when. */
async function rateOf(tx: Transaction, row: StoredTransaction): Promise<ExplainedTransaction["rate"]> {
  if (row.eventId === null || row.unitCost === null) return null;
  const cost = toCredits(row.unitCost);
  const perUnits = Number(row.perUnits ?? 1n);
  const quantity = row.quantity === null ? null : Number(row.quantity);
  const mine = { cost: row.unitCost, perUnits: row.perUnits ?? 1n };
  const override = await tx.creditEventOverride.findFirst({
    where: { organizationId: row.organizationId, eventId: row.eventId, ...mine, effectiveFrom: { lte: row.createdAt } },
    orderBy: { effectiveFrom: "desc" },
  });
  const common = await tx.creditEventRate.findFirst({
    where: { eventId: row.eventId, ...(row.eventVersion === null ? {} : { version: row.eventVersion }) },
    orderBy: { effectiveFrom: "desc" },
  });
  const event = await tx.creditEvent.findUnique({ where: { id: row.eventId } });
  const forAll = common ?? event;
  const isOwn = override !== null && (forAll?.cost !== mine.cost || forAll.perUnits !== mine.perUnits);
  const began = isOwn ? override.effectiveFrom : (common?.effectiveFrom ?? null);
  const known = began === null || began.getTime() === 0 ? (event?.createdAt ?? null) : began;
  // An event may be put on the card again after what was taken under an older card.
  const since = known !== null && known <= row.createdAt ? known : null;
  const credits = quantity === null ? null : costOf({ cost, perUnits }, quantity);
  return { cost, perUnits, version: row.eventVersion, isOwn, since, credits };
}

async function holdOf(tx: Transaction, organizationId: string, id: string): Promise<ExplainedTransaction["hold"]> {
  const hold = await tx.creditHold.findFirst({ where: { organizationId, id } });
  if (!hold) return null;
  const rows = await tx.creditTransaction.findMany({
    where: { organizationId, holdId: id },
    orderBy: { seq: "asc" },
    take: MOST_HOLD_ROWS,
  });
  return {
    id,
    kind: hold.kind,
    amount: toCredits(hold.amount),
    captured: toCredits(hold.captured),
    remaining: toCredits(hold.remaining),
    open: hold.open,
    leaseEndsAt: hold.leaseEndsAt,
    rows: rows.map(summaryOf),
  };
}

// ── A balance ──────────────────────────────────────────────────────────────────────────────────────────────────

/** What the organization had at an instant, lot by lot, as the rows until then say. */
export async function explainBalance(organizationId: string, at: Date): Promise<ExplainedBalance> {
  const read = await readBalance(organizationId, at);
  return { ...read, lots: await nameGivers(read.lots) };
}

function readBalance(organizationId: string, at: Date): Promise<Read<ExplainedBalance>> {
  return asOrganization(organizationId, async (tx) => {
    const account = await tx.creditAccount.findFirst({ where: { organizationId }, select: { organizationId: true } });
    if (!account) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    const seq = await seqAt(tx, organizationId, at);
    const rows = await tx.creditTransaction.findMany({
      where: { organizationId, seq: { lte: seq, gt: seq - BigInt(LATEST_ROWS) } },
      orderBy: { seq: "desc" },
    });
    const stored = await lotsAt(tx, organizationId, seq, at);
    const freed = await freedByLease(tx, organizationId, seq, at);
    const origins = await originsOf(
      tx,
      organizationId,
      stored.map((lot) => lot.id),
    );
    let [available, held, expired] = [0, 0, 0];
    const lots = stored.map((lot) => {
      const remaining = toCredits(lot.remaining);
      const lotHeld = toCredits(lot.held - (freed.get(lot.id) ?? 0n));
      const isOver = lot.expires_at !== null && lot.expires_at <= at;
      const free = (isOver ? 0 : remaining - lotHeld) as Credits;
      available += free;
      held += lotHeld;
      expired += remaining - lotHeld - free;
      return {
        grantId: lot.id,
        label: lot.label,
        source: lot.source,
        amount: toCredits(lot.amount),
        expiresAt: lot.expires_at,
        remaining,
        held: lotHeld,
        free,
        origin: origins.get(lot.id) ?? null,
      };
    });
    return {
      kind: "balance",
      at,
      seq: Number(seq),
      balance: toCredits(rows[0]?.balanceAfter ?? 0n),
      available,
      held,
      expired,
      debt: await debtAt(tx, organizationId, seq),
      lots,
      rows: rows.map(summaryOf),
    };
  });
}

interface LotThen {
  id: string;
  label: string;
  source: GrantSource;
  amount: bigint;
  expires_at: Date | null;
  remaining: bigint;
  held: bigint;
}

/** The lots that something was left of after a row, oldest first. */
function lotsAt(tx: Transaction, organizationId: string, seq: bigint, at: Date): Promise<LotThen[]> {
  return tx.$queryRaw<LotThen[]>`
    SELECT g.id, g.label, g.source::text AS source, g.amount, g.expires_at, last.lot_after AS remaining,
      (SELECT coalesce(sum(e.held), 0)::bigint FROM credit_movements e
       WHERE e.organization_id = g.organization_id AND e.grant_id = g.id AND e.transaction_seq <= ${seq}::bigint AND e.held <> 0) AS held
    FROM credit_grants g
    CROSS JOIN LATERAL last_movement(g.organization_id, g.id, ${seq}::bigint + 1) last
    WHERE g.organization_id = ${organizationId}::uuid AND g.created_at <= ${at}::timestamptz AND last.lot_after > 0
    ORDER BY g.created_at, g.id`;
}

/**
 * By lot, what holds had set aside whose lease was over at the instant, though that was not in the ledger yet. Those that are
 * still not are open; the others are the first that anything after the prefix did: no decision is made before them.
 */
async function freedByLease(
  tx: Transaction,
  organizationId: string,
  seq: bigint,
  at: Date,
): Promise<Map<string, bigint>> {
  const open = await tx.creditHold.findMany({
    where: { organizationId, open: true, leaseEndsAt: { lte: at } },
    select: { id: true },
  });
  const released = await releasedNext(tx, organizationId, seq);
  const ended = await tx.creditHold.findMany({
    where: { organizationId, id: { in: released }, leaseEndsAt: { lte: at } },
    select: { id: true },
  });
  const ids = [...open, ...ended].map((hold) => hold.id);
  if (ids.length === 0) return new Map();
  const rows = await tx.$queryRaw<{ grant_id: string; held: bigint }[]>`
    SELECT e.grant_id, sum(e.held)::bigint AS held FROM credit_transactions t
    JOIN credit_movements e ON e.organization_id = t.organization_id AND e.transaction_seq = t.seq
    WHERE t.organization_id = ${organizationId}::uuid AND t.hold_id = ANY (${ids}::uuid[]) AND t.seq <= ${seq}::bigint
    GROUP BY e.grant_id`;
  return new Map(rows.map((row) => [row.grant_id, row.held]));
}

const RELEASE_STEP = 200;
/** What releasing leads to by itself: credits that came free go to who waits for them. */
const FOLLOWS_RELEASE: ReadonlySet<TransactionType> = new Set(["release", "refund", "dispute", "debt"]);

async function releasedNext(tx: Transaction, organizationId: string, seq: bigint): Promise<string[]> {
  const ids: string[] = [];
  for (let after = seq; ; after += BigInt(RELEASE_STEP)) {
    const rows = await tx.creditTransaction.findMany({
      where: { organizationId, seq: { gt: after, lte: after + BigInt(RELEASE_STEP) } },
      orderBy: { seq: "asc" },
      select: { type: true, holdId: true },
    });
    for (const row of rows) {
      if (!FOLLOWS_RELEASE.has(row.type)) return ids;
      if (row.type === "release" && row.holdId !== null) ids.push(row.holdId);
    }
    if (rows.length < RELEASE_STEP) return ids;
  }
}

async function debtAt(tx: Transaction, organizationId: string, seq: bigint): Promise<number> {
  const [row] = await tx.$queryRaw<{ debt: bigint }[]>`
    SELECT coalesce(sum(debt), 0)::bigint AS debt FROM credit_transactions
    WHERE organization_id = ${organizationId}::uuid AND type <> 'consume' AND seq <= ${seq}::bigint AND debt <> 0`;
  return toCredits(row?.debt ?? 0n);
}
