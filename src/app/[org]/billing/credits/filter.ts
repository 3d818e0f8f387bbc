// Which transactions are shown, as the address of the page keeps it.
import type { FilterGroup, FilterOption } from "~/components/billing/transactions-table";
import { replaceUnreadable } from "~/domain/text";
import type { RouterInputs } from "~/server/api/root";

export const PAGE_SIZE = 25;

type TransactionType = NonNullable<RouterInputs["credits"]["transactions"]["type"]>;

export interface Filter {
  type: TransactionType | "";
  search: string;
}

const GROUPS: readonly { label: string; options: readonly { value: TransactionType; label: string }[] }[] = [
  {
    label: "Spending",
    options: [
      { value: "consume", label: "Usage" },
      { value: "reversal", label: "Corrections" },
      { value: "hold", label: "Held for work and gifts" },
      { value: "release", label: "Freed again" },
    ],
  },
  {
    label: "Coming and going",
    options: [
      { value: "grant", label: "From the subscription" },
      { value: "purchase", label: "Purchases" },
      { value: "promotion", label: "Promotions" },
      { value: "transfer", label: "Transfers and gifts" },
      { value: "adjustment", label: "Adjustments" },
      { value: "expiry", label: "Expiries" },
    ],
  },
  {
    label: "Payments taken back",
    options: [
      { value: "refund", label: "Refunds" },
      { value: "dispute", label: "Disputes" },
      { value: "debt", label: "Debts" },
    ],
  },
];

const TYPES = GROUPS.flatMap((group) => group.options);

export const typeOptions: readonly (FilterOption | FilterGroup)[] = [{ value: "", label: "All types" }, ...GROUPS];

const SEARCH_LENGTH = 255;

/** What an address or a field says, without what is no readable character; cutting to a length may leave half of one. */
export function readable(text: string): string {
  return replaceUnreadable(text, "");
}

export function typeOf(value: string | null): Filter["type"] {
  return TYPES.find((type) => type.value === value)?.value ?? "";
}

/** Reads an address; what it does not know is left out. */
export function filterOf(address: URLSearchParams): Filter {
  return { type: typeOf(address.get("type")), search: searchOf(address.get("search") ?? "") };
}

/** What is searched for, as it may be asked. */
export function searchOf(text: string): string {
  return readable(text.slice(0, SEARCH_LENGTH));
}

/** The address with another filter; what else it says stays. */
export function withFilter(address: URLSearchParams, filter: Filter): URLSearchParams {
  const next = new URLSearchParams(address);
  for (const [key, value] of Object.entries(filter)) {
    if (value) next.set(key, value);
    else next.delete(key);
  }
  return next;
}

export function queryOf(filter: Filter): { type: TransactionType | null; search: string | null } {
  return { type: filter.type || null, search: filter.search.trim() || null };
}
