// Which transactions are shown, as the address of the page keeps it.
import type { FilterOption } from "~/components/billing/transactions-table";
import type { RouterInputs } from "~/server/api/root";

export const PAGE_SIZE = 25;

type TransactionType = NonNullable<RouterInputs["credits"]["transactions"]["type"]>;

export interface Filter {
  type: TransactionType | "";
  search: string;
}

const TYPES: readonly { value: TransactionType; label: string }[] = [
  { value: "consume", label: "Usage" },
  { value: "grant", label: "From the subscription" },
  { value: "purchase", label: "Purchases" },
  { value: "promotion", label: "Promotions" },
  { value: "adjustment", label: "Adjustments" },
  { value: "reversal", label: "Corrections" },
  { value: "expiry", label: "Expiries" },
  { value: "refund", label: "Refunds" },
  { value: "dispute", label: "Disputes" },
  { value: "transfer", label: "Transfers" },
];

export const typeOptions: readonly FilterOption[] = [{ value: "", label: "All types" }, ...TYPES];

const SEARCH_LENGTH = 255;

export function typeOf(value: string | null): Filter["type"] {
  return TYPES.find((type) => type.value === value)?.value ?? "";
}

/** Reads an address; what it does not know is left out. */
export function filterOf(address: URLSearchParams): Filter {
  return { type: typeOf(address.get("type")), search: (address.get("search") ?? "").slice(0, SEARCH_LENGTH) };
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
