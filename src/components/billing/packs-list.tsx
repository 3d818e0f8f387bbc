"use client";
// Packs of credits to buy: how many, for how much, and what that is in days.
import { Button } from "../ui/button";
import { cn } from "../ui/cn";
import { creditsInWords, formatCredits, formatMoney } from "./format";
import { useViewer } from "./viewer";

export interface Pack {
  id: string;
  credits: number;
  unitAmount: number;
  currency: string;
  /** "22 more days", at the present pace. */
  note?: string;
}

export interface PacksListProps {
  packs: readonly Pack[];
  /** Absent: this person may look but not buy. */
  onBuy?: (packId: string) => void;
  /** The pack whose checkout is being opened. */
  buyingId?: string | null;
}

export function PacksList({ packs, onBuy, buyingId }: PacksListProps) {
  const { locale } = useViewer();
  return (
    <ul className="divide-y divide-line">
      {packs.map((pack) => (
        <li
          key={pack.id}
          className={cn(
            "grid items-center gap-4 px-(--pad) py-3 text-sm max-sm:gap-3",
            onBuy ? "grid-cols-[minmax(0,1fr)_auto_auto]" : "grid-cols-[minmax(0,1fr)_auto]",
          )}
        >
          <span>
            <b>{formatCredits(pack.credits, { locale })}</b> credits{" "}
            {pack.note ? <span className="whitespace-nowrap text-ink-3">{pack.note}</span> : null}
          </span>
          <span>{formatMoney({ amount: pack.unitAmount, currency: pack.currency }, { locale })}</span>
          {onBuy ? (
            <Button
              aria-label={`Buy ${creditsInWords(pack.credits, locale)}`}
              loading={buyingId === pack.id}
              disabled={buyingId !== null && buyingId !== undefined && buyingId !== pack.id}
              onClick={() => onBuy(pack.id)}
            >
              Buy
            </Button>
          ) : null}
        </li>
      ))}
    </ul>
  );
}
