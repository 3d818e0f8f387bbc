// Which plan somebody had chosen, carried in the address through sign-in and the making of an organization.
import { currenciesOf, type Interval, type PlanOption } from "~/components/billing/plan";
import { DEFAULT_CURRENCY } from "~/domain/pricing";

/** What Next hands a page as its query. */
export type SearchParams = Promise<Record<string, string | string[] | undefined>>;

export interface PlanChoice {
  /** Key of the plan: `pro`. */
  plan: string | null;
  interval: Interval;
  /** Lower case; null for the default one. */
  currency: string | null;
}

/** The first value of a query's parameter; null where it is absent or empty. */
export function parameter(query: Awaited<SearchParams>, name: string): string | null {
  const value = query[name];
  return (Array.isArray(value) ? value[0] : value) || null;
}

/** The choice in an address. Anything unknown in it is as if it was not there. */
export function readPlanChoice(query: Awaited<SearchParams>): PlanChoice {
  const plan = parameter(query, "plan");
  const currency = parameter(query, "currency");
  return {
    plan: plan && /^[\w-]{1,64}$/.test(plan) ? plan : null,
    interval: parameter(query, "interval") === "year" ? "year" : "month",
    currency: currency && /^[a-z]{3}$/i.test(currency) ? currency.toLowerCase() : null,
  };
}

/** `?plan=pro&interval=month`, or nothing where no plan was chosen. */
export function planQuery({ plan, interval, currency }: PlanChoice): string {
  if (!plan) return "";
  const query = new URLSearchParams({ plan, interval });
  if (currency && currency.toLowerCase() !== DEFAULT_CURRENCY) query.set("currency", currency.toLowerCase());
  return `?${query}`;
}

/** The wanted currency if something is sold in it, else the default one, else the first there is. Upper case, as it is shown. */
export function currencyToShow(plans: readonly PlanOption[], wanted: string | null): string {
  const sold = currenciesOf(plans);
  const asked = (wanted ?? DEFAULT_CURRENCY).toUpperCase();
  const usual = DEFAULT_CURRENCY.toUpperCase();
  if (sold.includes(asked)) return asked;
  return sold.includes(usual) ? usual : (sold[0] ?? usual);
}
