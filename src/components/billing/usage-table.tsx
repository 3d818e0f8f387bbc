"use client";
// What used the credits, by event, category or key, with its share and how it was before.
import { cn } from "../ui/cn";
import { Meter, type MeterFill } from "../ui/meter";
import { RowLink, Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { formatCredits, formatPercent } from "./format";
import { useViewer } from "./viewer";

export interface UsageRow {
  id: string;
  name: string;
  /** Category of an event, purpose of a key. */
  note?: string | null;
  /** Credits for one; left out where it differs within the row. */
  unitCost?: number | null;
  quantity?: number | null;
  credits: number;
  previous?: number | null;
  href?: string;
}

export interface UsageTableProps {
  rows: readonly UsageRow[];
  /** Head of the first column: "Event", "Category", "API key". */
  by?: string;
  /** Head of the comparison: "vs Dec". */
  previousLabel?: string;
  /** Head of the quantities: "Calls". */
  quantityLabel?: string;
  /** Head of the meters: "Now, and December as a mark". */
  meterLabel?: string;
  /** Beside a chart of the same rows: a swatch before each name instead of a meter. */
  swatches?: boolean;
  /** One tone for all rows; otherwise the tones of the bars, largest first. */
  fill?: MeterFill;
}

const tones = ["s1", "s2", "s3", "s4"] as const;

export function UsageTable({
  rows,
  by = "Event",
  previousLabel,
  quantityLabel = "Quantity",
  meterLabel = "Share",
  swatches = false,
  fill,
}: UsageTableProps) {
  const { locale } = useViewer();
  const credits = (amount: number) => formatCredits(amount, { locale });
  const sorted = [...rows].sort((a, b) => b.credits - a.credits || a.name.localeCompare(b.name));
  const total = rows.reduce((sum, row) => sum + row.credits, 0);
  const compared = previousLabel !== undefined;
  const previousTotal = rows.reduce((sum, row) => sum + (row.previous ?? 0), 0);
  const highest = Math.max(1, ...rows.map((row) => Math.max(row.credits, compared ? (row.previous ?? 0) : 0)));
  const costs = rows.some((row) => row.unitCost !== null && row.unitCost !== undefined);
  // Without the columns of an event there is room for the meter in a narrow panel too.
  const room = costs ? { wide: true } : { snug: true };
  const quantities = rows.some((row) => row.quantity !== null && row.quantity !== undefined);

  return (
    <Table caption={`Credits by ${by}, largest first`}>
      <THead>
        <TH>{by}</TH>
        {costs ? (
          <TH num wide>
            Each
          </TH>
        ) : null}
        {quantities ? (
          <TH num wide>
            {quantityLabel}
          </TH>
        ) : null}
        {swatches ? null : (
          <TH {...room} className="w-[24%]">
            {meterLabel}
          </TH>
        )}
        <TH num>Credits</TH>
        <TH num>{compared ? previousLabel : "Share"}</TH>
      </THead>
      <TBody>
        {sorted.map((row, index) => (
          <TR key={row.id} linked={Boolean(row.href)}>
            <TH scope="row">
              {swatches ? <i className={cn("swatch tone mr-2", tones[Math.min(index, 3)])} /> : null}
              {row.href ? <RowLink href={row.href}>{row.name}</RowLink> : <span className="row-link">{row.name}</span>}
              {row.note ? <Sub>{row.note}</Sub> : null}
            </TH>
            {costs ? (
              <TD num wide className="text-ink-3">
                {row.unitCost === null || row.unitCost === undefined ? (
                  <NoOneCost used={row.credits > 0 && (row.quantity ?? 0) > 0} />
                ) : (
                  credits(row.unitCost)
                )}
              </TD>
            ) : null}
            {quantities ? (
              <TD num wide>
                {row.quantity === null || row.quantity === undefined ? "" : credits(row.quantity)}
              </TD>
            ) : null}
            {swatches ? null : (
              <TD {...room}>
                <Meter
                  value={row.credits}
                  max={highest}
                  past={compared ? (row.previous ?? undefined) : undefined}
                  fill={fill ?? tones[Math.min(index, 3)] ?? "s4"}
                  label={`${credits(row.credits)} credits${compared && row.previous ? `, before ${credits(row.previous)}` : ""}`}
                  className="mt-1"
                />
              </TD>
            )}
            <TD num>{credits(row.credits)}</TD>
            <TD num className={compared ? "text-ink-2" : "text-ink-3"}>
              {compared ? (
                <>
                  {changeInWords(row.credits, row.previous ?? null, locale)}
                  {swatches || row.previous === null || row.previous === undefined ? null : (
                    <Sub>{credits(row.previous)}</Sub>
                  )}
                </>
              ) : (
                formatPercent(total > 0 ? row.credits / total : 0, { locale })
              )}
            </TD>
          </TR>
        ))}
      </TBody>
      <tfoot>
        <TR>
          <TH scope="row">Total</TH>
          {costs ? <TD wide /> : null}
          {quantities ? <TD wide /> : null}
          {swatches ? null : <TD {...room} />}
          <TD num>{credits(total)}</TD>
          <TD num>{compared ? changeInWords(total, previousTotal, locale) : formatPercent(1, { locale })}</TD>
        </TR>
      </tfoot>
    </Table>
  );
}

function NoOneCost({ used }: { used: boolean }) {
  const why = used
    ? "Not all units cost the same: the rate changed, or a part was given back"
    : "Nothing was used in this time, or all of it was given back";
  return (
    <span title={why}>
      <span aria-hidden>–</span>
      <span className="sr-only">{why}</span>
    </span>
  );
}

/** "+24.9%", "new" when there was nothing before, "" when it is not known. */
function changeInWords(now: number, before: number | null, locale: string): string {
  if (before === null) return "";
  if (before === 0) return now === 0 ? "" : "new";
  return formatPercent(now / before - 1, { locale, sign: "always" });
}
