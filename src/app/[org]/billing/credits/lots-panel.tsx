"use client";
// The lots: as a strip, as a table in the order in which they go, and those that are over folded below.
import { CreditKeyRow, CreditStrip } from "~/components/billing/credit-strip";
import { creditsInWords, formatCredits, formatTime } from "~/components/billing/format";
import { type EndedLot, EndedLots, LotsTable } from "~/components/billing/lots-table";
import { useViewer } from "~/components/billing/viewer";
import { EmptyState } from "~/components/ui/empty-state";
import { Panel, PanelBody } from "~/components/ui/panel";
import type { Runway } from "~/domain/forecast";
import type { RouterOutputs } from "~/server/api/root";
import { amountsOf, freeLots, heldInWords, kindOf, type Lot, stripOf } from "../_shared/credits-view";

export interface LotsPanelProps {
  balance: RouterOutputs["credits"]["balance"];
  open: readonly Lot[];
  closed: readonly Lot[];
  runway: Runway | null;
  now: Date;
}

const ORIGINS: Record<Lot["source"], (date: string) => string> = {
  purchase: (date) => `bought ${date}`,
  subscription: (date) => `came with the subscription ${date}`,
  promotion: (date) => `given ${date}`,
  adjustment: (date) => `adjusted ${date}`,
  transfer: (date) => `transferred ${date}`,
};

const ENDS: Record<NonNullable<Lot["ended"]>["how"], string | null> = {
  spent: null,
  expired: null,
  refunded: "refunded",
  disputed: "taken back after a dispute",
  transferred: "given away",
  adjusted: "taken back",
};

/** What became of the lots that nothing is left of. */
export function endedLots(lots: readonly Lot[]): EndedLot[] {
  return lots.flatMap(({ id, label, amount, ended }) => {
    if (!ended) return [];
    const { expired, takenBack, transferred, at } = ended;
    const spent = amount - expired - takenBack - transferred;
    return [{ id, label, granted: amount, spent, expired, takenBack, transferred, how: ENDS[ended.how], endedAt: at }];
  });
}

export function LotsPanel({ balance, open, closed, runway, now }: LotsPanelProps) {
  const viewer = useViewer();
  const { locale } = viewer;
  const lots = freeLots(open);
  const left = balance.available + balance.held;
  const origin = (lot: Lot) => ORIGINS[lot.source](formatTime(lot.createdAt, viewer, { style: "day" }));
  const spendNow = balance.held > 0 ? `, ${formatCredits(balance.available, { locale })} to spend now` : "";

  if (lots.length === 0) {
    return (
      <Panel title="No credits">
        <EmptyState
          title={closed.length > 0 ? "All credits are used up" : "There are no credits yet"}
          text="Credits come with a plan at the start of each period, and from packs, which never expire."
        />
        <EndedLots lots={endedLots(closed)} summary={`Lots that have ended (the latest ${closed.length})`} />
      </Panel>
    );
  }
  return (
    <Panel
      title={
        <>
          {creditsInWords(left, locale)}{" "}
          <span className="font-normal">
            in {lots.length} {lots.length === 1 ? "lot" : "lots"}
            {spendNow}
          </span>
        </>
      }
      note={
        runway && balance.available > 0 ? (
          <span suppressHydrationWarning>
            {runway.until
              ? `lasts until about ${formatTime(runway.until, viewer, { style: "longDay" })}`
              : "lasts beyond a year"}
          </span>
        ) : null
      }
    >
      <PanelBody className="border-b border-line">
        <CreditStrip slim lots={stripOf(lots)} held={balance.held} />
        <CreditKeyRow {...amountsOf(lots)} held={balance.held} heldLabel={heldInWords(lots)} />
      </PanelBody>
      <LotsTable
        now={now}
        lots={lots.map((lot) => ({
          id: lot.id,
          kind: kindOf(lot.source),
          label: lot.label,
          origin: origin(lot),
          expiresAt: lot.expiresAt,
          granted: lot.amount,
          left: lot.remaining,
          held: lot.held - lot.frozen,
          frozen: lot.frozen,
        }))}
      />
      <EndedLots lots={endedLots(closed)} summary={`Lots that have ended (the latest ${closed.length})`} />
    </Panel>
  );
}
