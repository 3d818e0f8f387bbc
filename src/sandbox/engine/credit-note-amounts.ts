// What a credit note comes to: its lines, with their share of the invoice's discounts and tax. Nothing is kept here.
import { invalidRequest, missingResource } from "../errors";
import { newId } from "../ids";
import type { CreditNote, CreditNoteLine, Invoice, InvoiceLine } from "../types";
import type { World } from "../world";
import { sumOf } from "./discount-amounts";
import { sumTaxes, taxWithin } from "./tax";

/** A line as a caller asks for it; amounts in minor units. */
export interface WantedLine {
  type: "custom_line_item" | "invoice_line_item";
  invoice_line_item?: string;
  amount?: number;
  quantity?: number;
  description?: string;
  unit_amount?: number;
  unit_amount_decimal?: string;
  metadata?: Record<string, string>;
}

interface Parts {
  amount: number;
  description: string | null;
  quantity: number | null;
  unitAmount: string | null;
  metadata?: Record<string, string>;
  /** The line that is credited, and what share of it. */
  of?: { line: InvoiceLine; share: number };
}

function build({ of, ...given }: Parts): CreditNoteLine {
  const part = (amount: number) => Math.round(amount * (of?.share ?? 0));
  const discounts = (of?.line.discount_amounts ?? []).map((each) => ({ ...each, amount: part(each.amount) }));
  const whole = given.unitAmount === null ? null : Number(given.unitAmount);
  return {
    id: newId("cnli"),
    object: "credit_note_line_item",
    amount: given.amount,
    description: given.description,
    discount_amount: sumOf(discounts),
    discount_amounts: discounts,
    ...(of && { invoice_line_item: of.line.id }),
    livemode: false,
    metadata: given.metadata ?? {},
    pretax_credit_amounts: discounts.map((each) => ({ ...each, type: "discount" as const })),
    quantity: given.quantity,
    tax_rates: [],
    taxes: (of?.line.taxes ?? []).map((tax) => ({
      ...tax,
      amount: part(tax.amount),
      taxable_amount: part(tax.taxable_amount ?? 0),
    })),
    type: of ? "invoice_line_item" : "custom_line_item",
    unit_amount: whole !== null && Number.isInteger(whole) ? whole : null,
    unit_amount_decimal: given.unitAmount,
  } satisfies CreditNoteLine;
}

function ofInvoiceLine(world: World, invoice: Invoice, wanted: WantedLine, param: string): CreditNoteLine {
  const id = wanted.invoice_line_item ?? "";
  const line = world.lines.get(id);
  if (!line || line.invoice !== invoice.id)
    throw missingResource("invoice line item", id, `${param}[invoice_line_item]`);
  if ((wanted.amount === undefined) === (wanted.quantity === undefined)) {
    throw invalidRequest(
      "You must provide exactly one of `amount` or `quantity` for a line of type `invoice_line_item`.",
      `${param}[amount]`,
      wanted.amount === undefined ? "parameter_missing" : "parameters_exclusive",
    );
  }
  const units = line.quantity ?? 1;
  const share = wanted.quantity === undefined ? (wanted.amount ?? 0) / line.amount : wanted.quantity / units;
  if (line.amount <= 0 || share > 1) {
    throw invalidRequest("A credit note line cannot credit more than the invoice line holds.", param);
  }
  return build({
    amount: wanted.amount ?? Math.round(line.amount * share),
    description: line.description,
    quantity: wanted.quantity ?? null,
    unitAmount: wanted.quantity === undefined ? null : String(line.amount / units),
    metadata: wanted.metadata,
    of: { line, share },
  });
}

function custom(wanted: WantedLine, param: string): CreditNoteLine {
  const unitAmount =
    wanted.unit_amount_decimal ?? (wanted.unit_amount === undefined ? null : String(wanted.unit_amount));
  if (unitAmount === null || !wanted.description) {
    const missing = unitAmount === null ? "unit_amount" : "description";
    throw invalidRequest(`Missing required param: ${param}[${missing}].`, `${param}[${missing}]`, "parameter_missing");
  }
  const quantity = wanted.quantity ?? 1;
  const amount = Math.round(Number(unitAmount) * quantity);
  return build({ amount, description: wanted.description, quantity, unitAmount, metadata: wanted.metadata });
}

/** The lines of a note that names lines, or only an amount. */
export function creditLines(
  world: World,
  invoice: Invoice,
  wanted: { amount?: number; lines?: WantedLine[] },
): CreditNoteLine[] {
  if (wanted.lines?.length) {
    const lines = wanted.lines.map((line, position) => {
      const param = `lines[${position}]`;
      return line.type === "invoice_line_item" ? ofInvoiceLine(world, invoice, line, param) : custom(line, param);
    });
    const total = totalsOfNote(lines).total;
    if (wanted.amount === undefined || wanted.amount === total) return lines;
    throw invalidRequest(`The amount does not match the sum of the lines (${total}).`, "amount");
  }
  if (wanted.amount === undefined) {
    throw invalidRequest(
      "One of `amount`, `lines`, or `shipping_cost` must be provided.",
      "amount",
      "parameter_missing",
    );
  }
  const description = `Credit for invoice ${invoice.number}`;
  return [build({ amount: wanted.amount, description, quantity: 1, unitAmount: String(wanted.amount) })];
}

/** The sums of a note, as its fields are called. */
export function totalsOfNote(lines: CreditNoteLine[]) {
  const subtotal = sumOf(lines);
  const taxes = sumTaxes(lines.flatMap((line) => line.taxes ?? []));
  const byDiscount = new Map<string, number>();
  for (const { amount, discount } of lines.flatMap((line) => line.discount_amounts)) {
    byDiscount.set(discount, (byDiscount.get(discount) ?? 0) + amount);
  }
  const discounts = [...byDiscount].map(([discount, amount]) => ({ amount, discount }));
  const total = subtotal - sumOf(discounts) + taxWithin(taxes, "exclusive");
  return {
    amount: total,
    discount_amount: sumOf(discounts),
    discount_amounts: discounts,
    pretax_credit_amounts: discounts.map((each) => ({ ...each, type: "discount" as const })),
    subtotal,
    subtotal_excluding_tax: subtotal - taxWithin(taxes, "inclusive"),
    total,
    total_excluding_tax: total - sumOf(taxes),
    total_taxes: taxes,
  } satisfies Partial<CreditNote>;
}
