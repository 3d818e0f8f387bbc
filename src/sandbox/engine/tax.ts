// Tax: the table of rates by country, what applies to a customer, and what it comes to. Invented but plausible: the
// standard rate of a country, and nothing where this account would not be registered.
import type { Customer, InvoiceLine, TaxRate } from "../types";
import type { World } from "../world";

type LineTax = NonNullable<InvoiceLine["taxes"]>[number];
type Reason = LineTax["taxability_reason"];

/** Standard rates in percent, where this account collects tax. Everywhere else: 0, `not_collecting`. */
export const TAX_TABLE: Record<string, { percentage: number; name: string; type: "gst" | "hst" | "vat" | "jct" }> = {
  AT: { percentage: 20, name: "VAT", type: "vat" },
  AU: { percentage: 10, name: "GST", type: "gst" },
  BE: { percentage: 21, name: "VAT", type: "vat" },
  CH: { percentage: 8.1, name: "VAT", type: "vat" },
  DE: { percentage: 19, name: "VAT", type: "vat" },
  DK: { percentage: 25, name: "VAT", type: "vat" },
  ES: { percentage: 21, name: "VAT", type: "vat" },
  FI: { percentage: 25.5, name: "VAT", type: "vat" },
  FR: { percentage: 20, name: "VAT", type: "vat" },
  GB: { percentage: 20, name: "VAT", type: "vat" },
  IE: { percentage: 23, name: "VAT", type: "vat" },
  IT: { percentage: 22, name: "VAT", type: "vat" },
  JP: { percentage: 10, name: "JCT", type: "jct" },
  NL: { percentage: 21, name: "VAT", type: "vat" },
  NO: { percentage: 25, name: "VAT", type: "vat" },
  PL: { percentage: 23, name: "VAT", type: "vat" },
  PT: { percentage: 23, name: "VAT", type: "vat" },
  SE: { percentage: 25, name: "VAT", type: "vat" },
};

const EU = new Set("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split(" "));

export interface AppliedRate {
  id: string;
  percentage: number;
  inclusive: boolean;
  reason: Reason;
}

/** How an invoice or a session is taxed. */
export interface Taxation {
  automatic: boolean;
  /** Of automatic tax; null without it. */
  status: "complete" | "requires_location_inputs" | null;
  ratesFor(behavior: "exclusive" | "inclusive"): AppliedRate[];
}

/** Where a customer is, and what they need not pay. */
export interface TaxPlace {
  country: string | null;
  exempt: Customer["tax_exempt"];
  taxIds: Array<{ type: string }>;
}

export const UNTAXED: Taxation = { automatic: false, status: null, ratesFor: () => [] };

export function placeOf(world: World, customer: Customer | undefined): TaxPlace {
  return {
    country: customer?.address?.country?.toUpperCase() ?? null,
    exempt: customer?.tax_exempt ?? "none",
    taxIds: customer ? world.taxIds.by("customer", customer.id) : [],
  };
}

/** The rate that automatic tax has for a country. Stripe keeps such rates archived, so that nobody uses them by hand. */
function automaticRate(world: World, country: string, inclusive: boolean): TaxRate {
  const known = TAX_TABLE[country];
  const id = `txr_automatic_${country.toLowerCase()}_${inclusive ? "inclusive" : "exclusive"}`;
  return (
    world.taxRates.get(id) ??
    world.taxRates.put({
      id,
      object: "tax_rate",
      active: false,
      country,
      created: world.now(),
      description: null,
      display_name: known?.name ?? "Tax",
      effective_percentage: known?.percentage ?? 0,
      flat_amount: null,
      inclusive,
      jurisdiction: country,
      jurisdiction_level: "country",
      livemode: false,
      metadata: {},
      percentage: known?.percentage ?? 0,
      rate_type: "percentage",
      state: null,
      tax_type: known?.type ?? null,
    } satisfies TaxRate)
  );
}

/** Why a rate applies, or why nothing is collected. A business of another country reckons the tax itself. */
function reasonFor(country: string, place: TaxPlace): Reason {
  if (place.exempt === "exempt") return "customer_exempt";
  const business =
    (EU.has(country) && place.taxIds.some(({ type }) => type === "eu_vat")) ||
    (country === "GB" && place.taxIds.some(({ type }) => type === "gb_vat"));
  if (place.exempt === "reverse" || (business && TAX_TABLE[country])) return "reverse_charge";
  return TAX_TABLE[country] ? "standard_rated" : "not_collecting";
}

/** Automatic tax at a place. Without a country nothing is collected until it is known. */
export function automaticTax(world: World, place: TaxPlace): Taxation {
  const { country } = place;
  if (!country) return { automatic: true, status: "requires_location_inputs", ratesFor: () => [] };
  const reason = reasonFor(country, place);
  return {
    automatic: true,
    status: "complete",
    ratesFor: (behavior) => {
      const rate = automaticRate(world, country, behavior === "inclusive");
      const percentage = reason === "standard_rated" ? rate.percentage : 0;
      return [{ id: rate.id, percentage, inclusive: rate.inclusive, reason }];
    },
  };
}

/** Rates that the account chose itself: they apply whatever the place. */
export function manualTax(rates: TaxRate[], exempt: Customer["tax_exempt"]): Taxation {
  return {
    automatic: false,
    status: null,
    ratesFor: () =>
      rates.map(({ id, percentage, inclusive }) => ({
        id,
        percentage: exempt === "exempt" || exempt === "reverse" ? 0 : percentage,
        inclusive,
        reason: exempt === "exempt" ? "customer_exempt" : exempt === "reverse" ? "reverse_charge" : "not_available",
      })),
  };
}

/** Halves away from zero, so that a credit takes back exactly what the charge added. */
function round(amount: number): number {
  return Math.sign(amount) * Math.round(Math.abs(amount));
}

/** What tax comes to on an amount (minor units, discounts taken off); inclusive tax is a part of the amount. */
export function taxesOn(amount: number, rates: AppliedRate[]): LineTax[] {
  const within = rates.reduce((sum, rate) => sum + (rate.inclusive ? rate.percentage : 0), 0);
  const net = round(amount / (1 + within / 100));
  // The last inclusive rate takes what rounding left, so that net and taxes make up the amount.
  const inclusive = rates.filter((rate) => rate.inclusive && rate.percentage > 0);
  let rest = amount - net;
  return rates.map((rate) => {
    let tax = round((net * rate.percentage) / 100);
    if (rate.inclusive && rate.percentage > 0) {
      if (rate === inclusive.at(-1)) tax = rest;
      rest -= tax;
    }
    return {
      amount: tax,
      tax_behavior: rate.inclusive ? "inclusive" : "exclusive",
      tax_rate_details: { tax_rate: rate.id },
      taxability_reason: rate.reason,
      taxable_amount: rate.reason === "not_collecting" || rate.reason === "customer_exempt" ? 0 : net,
      type: "tax_rate_details",
    };
  });
}

/** Taxes of many lines, summed up by rate. */
export function sumTaxes(taxes: LineTax[]): LineTax[] {
  const sums = new Map<string, LineTax>();
  for (const tax of taxes) {
    const key = tax.tax_rate_details?.tax_rate ?? "";
    const before = sums.get(key);
    sums.set(key, {
      ...tax,
      amount: (before?.amount ?? 0) + tax.amount,
      taxable_amount: (before?.taxable_amount ?? 0) + (tax.taxable_amount ?? 0),
    });
  }
  return [...sums.values()];
}

export function taxWithin(taxes: LineTax[] | null, behavior: "exclusive" | "inclusive"): number {
  return (taxes ?? []).reduce((sum, tax) => sum + (tax.tax_behavior === behavior ? tax.amount : 0), 0);
}
