"use client";
// The ledger as people read it: newest first, under the day where the viewer is; a row opens its entry.
import type { ReactNode } from "react";
import { Input } from "../ui/input";
import { Toolbar } from "../ui/panel";
import { Select } from "../ui/select";
import { Tag } from "../ui/state";
import { DayRow, RowLink, Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { dayKey, daysUntil, formatCredits, formatTime } from "./format";
import { LocalTime } from "./local-time";
import { movementInWords, type Named, nameOf } from "./transaction";
import { useViewer } from "./viewer";

export interface TransactionRow extends Named {
  id: string;
  amount: number;
  /** Change of what is set aside, and of what is owed. */
  held?: number;
  debt?: number;
  /** null for what is not in the ledger yet: a running hold. */
  balanceAfter: number | null;
  createdAt: Date;
  /** Key, person or job that caused it: "batch-worker", "Ivo Brandt, for txn_8Qf1". */
  by?: string | null;
  /** How many lots it touched. */
  lots?: number;
  href?: string;
}

export interface TransactionsTableProps {
  items: readonly TransactionRow[];
  now: Date;
  /** The entry that stands open in the drawer. */
  selectedId?: string | null;
  /** Opens an entry that has no href. */
  onOpen?: (id: string) => void;
}

export function TransactionsTable({ items, now, selectedId, onOpen }: TransactionsTableProps) {
  const viewer = useViewer();
  const { locale } = viewer;
  const days = groupByDay(items, (item) => dayKey(item.createdAt, viewer));

  return (
    <Table caption="Transactions, newest first">
      <THead>
        <TH>Time</TH>
        <TH>What</TH>
        <TH wide>By</TH>
        <TH num>Credits</TH>
        <TH num wide>
          Balance
        </TH>
      </THead>
      {[...days].map(([key, rows]) => (
        <TBody key={key} tight>
          <DayRow span={5}>
            <span suppressHydrationWarning>{dayTitle(rows[0]?.createdAt ?? now, now)}</span>
          </DayRow>
          {rows.map((item) => {
            const name = nameOf(item, locale);
            const selected = item.id === selectedId;
            const balance = item.balanceAfter === null ? null : formatCredits(item.balanceAfter, { locale });
            const openable = item.href !== undefined || onOpen !== undefined;
            return (
              <TR key={item.id} linked={openable} selected={selected}>
                <TD className="w-[4.5rem] whitespace-nowrap text-ink-3">
                  <LocalTime value={item.createdAt} show="time" />
                </TD>
                <TD>
                  {item.href !== undefined ? (
                    <RowLink href={item.href} scroll={false} current={selected}>
                      {name}
                    </RowLink>
                  ) : onOpen ? (
                    <RowLink onOpen={() => onOpen(item.id)} current={selected}>
                      {name}
                    </RowLink>
                  ) : (
                    <span className="row-link">{name}</span>
                  )}{" "}
                  {item.lots && item.lots > 1 ? <Tag accent>{item.lots} lots</Tag> : null}
                  {item.by ? <Sub narrow>{item.by}</Sub> : null}
                </TD>
                <TD wide className="text-ink-2">
                  {item.by}
                </TD>
                <TD num>
                  <span className={item.amount === 0 ? "text-ink-2" : undefined}>{movementInWords(item, locale)}</span>
                  {balance ? <Sub narrow>{balance}</Sub> : null}
                </TD>
                <TD num wide className="text-ink-2">
                  {balance}
                </TD>
              </TR>
            );
          })}
        </TBody>
      ))}
    </Table>
  );

  function dayTitle(at: Date, today: Date): string {
    const ago = -daysUntil(at, today, viewer);
    if (ago > 1 || ago < 0) return formatTime(at, viewer, { style: "weekday" });
    const title = formatTime(at, viewer, { style: "longDay" });
    return ago === 0 ? `Today, ${title}` : `Yesterday, ${title}`;
  }
}

function groupByDay<Item>(items: readonly Item[], keyOf: (item: Item) => string): Map<string, Item[]> {
  const days = new Map<string, Item[]>();
  for (const item of items) {
    const key = keyOf(item);
    days.set(key, [...(days.get(key) ?? []), item]);
  }
  return days;
}

export interface FilterOption {
  value: string;
  label: string;
}

export interface FilterGroup {
  label: string;
  options: readonly FilterOption[];
}

export interface TransactionsToolbarProps {
  search?: string;
  onSearch?: (text: string) => void;
  /** What the search looks at. */
  searchHint?: string;
  type: string;
  onType: (type: string) => void;
  types: readonly (FilterOption | FilterGroup)[];
  period?: string;
  onPeriod?: (period: string) => void;
  periods?: readonly FilterOption[];
  /** Export and the like. */
  children?: ReactNode;
}

export function TransactionsToolbar({
  search,
  onSearch,
  searchHint = "Event, key, id or metadata",
  type,
  onType,
  types,
  period,
  onPeriod,
  periods,
  children,
}: TransactionsToolbarProps) {
  return (
    <Toolbar>
      {onSearch ? (
        <Input
          type="search"
          aria-label="Search transactions"
          placeholder={searchHint}
          value={search ?? ""}
          onChange={(event) => onSearch(event.target.value)}
          className="flex-[1_1_10rem] max-sm:basis-full"
        />
      ) : null}
      <Select aria-label="Type" value={type} onChange={(event) => onType(event.target.value)}>
        <Options options={types} />
      </Select>
      {periods && onPeriod ? (
        <Select aria-label="Period" value={period ?? ""} onChange={(event) => onPeriod(event.target.value)}>
          <Options options={periods} />
        </Select>
      ) : null}
      {children}
    </Toolbar>
  );
}

function Options({ options }: { options: readonly (FilterOption | FilterGroup)[] }) {
  return options.map((option) =>
    "options" in option ? (
      <optgroup key={option.label} label={option.label}>
        <Options options={option.options} />
      </optgroup>
    ) : (
      <option key={option.value} value={option.value}>
        {option.label}
      </option>
    ),
  );
}
