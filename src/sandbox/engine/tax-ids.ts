// Tax ids of customers: their form is checked at once; nobody is asked whether they exist.
import { invalidRequest } from "../errors";
import { newId } from "../ids";
import type { TaxId } from "../types";
import type { World } from "../world";

/** The kinds that are served, with the form of their values and their country where the value does not begin with it. */
const KINDS: Record<string, { form: RegExp; country: string | null }> = {
  au_abn: { form: /^\d{11}$/, country: "AU" },
  ca_gst_hst: { form: /^\d{9}RT\d{4}$/, country: "CA" },
  ch_vat: { form: /^CHE-?\d{3}\.?\d{3}\.?\d{3} ?(MWST|TVA|IVA)$/, country: "CH" },
  eu_vat: { form: /^[A-Z]{2}[A-Z0-9]{2,13}$/, country: null },
  gb_vat: { form: /^GB(\d{9}|\d{12}|GD\d{3}|HA\d{3})$/, country: "GB" },
  in_gst: { form: /^\d{2}[A-Z0-9]{13}$/, country: "IN" },
  jp_trn: { form: /^T\d{13}$/, country: "JP" },
  no_vat: { form: /^\d{9}MVA$/, country: "NO" },
  us_ein: { form: /^\d{2}-\d{7}$/, country: "US" },
};

export const TAX_ID_TYPES = Object.keys(KINDS);

/** Gives a customer a tax id and tells of it. Refuses a value that cannot be one. */
export function addTaxId(world: World, customer: string, given: { type: string; value: string }): TaxId {
  const kind = KINDS[given.type];
  const value = given.value.toUpperCase();
  if (!kind?.form.test(value)) {
    throw invalidRequest(`Invalid value for ${given.type}.`, "value", "tax_id_invalid");
  }
  const taxId = world.taxIds.put({
    id: newId("txi"),
    object: "tax_id",
    country: kind.country ?? value.slice(0, 2),
    created: world.now(),
    customer,
    customer_account: null,
    livemode: false,
    owner: { customer, customer_account: null, type: "customer" },
    type: given.type,
    value,
    verification: { status: "unavailable", verified_address: null, verified_name: null },
  } satisfies TaxId);
  world.events.emit("customer.tax_id.created", taxId);
  return taxId;
}

export function removeTaxId(world: World, taxId: TaxId) {
  world.taxIds.remove(taxId.id);
  world.events.emit("customer.tax_id.deleted", taxId);
  return { id: taxId.id, object: "tax_id" as const, deleted: true };
}
