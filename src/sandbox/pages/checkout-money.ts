// What the Checkout page shows and asks about money: the rows of its summary, the promotion code, the country.
import { applyPromotionCode, locateSession } from "../engine/checkout-amounts";
import { formatMoney } from "../money";
import type { CheckoutSession } from "../types";
import type { World } from "../world";
import { type Html, html } from "./html";

/** Rows under the lines: only what is there is shown. */
export function amountRows(session: CheckoutSession): Html {
  const money = (amount: number) => formatMoney(amount, session.currency ?? "usd");
  const { amount_discount: discount = 0, amount_tax: tax = 0 } = session.total_details ?? {};
  const taxed = session.automatic_tax.enabled || tax > 0;
  if (discount === 0 && !taxed) return html``;
  const unknown = session.automatic_tax.status === "requires_location_inputs";
  return html`<tr><td>Subtotal</td><td class="num">${money(session.amount_subtotal ?? 0)}</td></tr>
${discount > 0 && html`<tr><td>Discount</td><td class="num">${money(-discount)}</td></tr>`}
${taxed && html`<tr><td>Tax</td><td class="num">${unknown ? "Enter your country" : money(tax)}</td></tr>`}`;
}

/** The field for a promotion code, or the code that was applied. */
export function promotionField(world: World, session: CheckoutSession, problem: string | undefined): Html | null {
  if (!session.allow_promotion_codes) return null;
  const applied = session.discounts?.[0]?.promotion_code;
  const code = applied && world.promotionCodes.get(applied)?.code;
  if (code) {
    return html`<p class="row">Promotion code <code>${code}</code> <button name="removeCode" value="1" type="submit" formnovalidate>Remove</button></p>`;
  }
  return html`<div class="field"><label for="promotionCode">Promotion code</label>
<div class="row"><input id="promotionCode" name="promotionCode" type="text" autocomplete="off" aria-invalid="${problem ? "true" : "false"}" ${problem && html`aria-describedby="promotionCode-problem"`}>
<button name="applyCode" value="1" type="submit" formnovalidate>Apply</button></div>
${problem && html`<p class="wrong" id="promotionCode-problem" role="alert">${problem}</p>`}</div>`;
}

export function asksForCountry(session: CheckoutSession): boolean {
  return session.automatic_tax.enabled || session.billing_address_collection === "required";
}

/** Two letters, as addresses have them; tax follows what is chosen. */
export function countryField(world: World, session: CheckoutSession, problem: string | undefined): Html | null {
  if (!asksForCountry(session)) return null;
  const customer = session.customer ? world.customers.get(session.customer) : undefined;
  const value = session.customer_details?.address?.country ?? customer?.address?.country ?? "";
  return html`<div class="field"><label for="country">Country (two letters)</label>
<div class="row"><input id="country" name="country" type="text" value="${value}" maxlength="2" autocomplete="country" placeholder="US" aria-invalid="${problem ? "true" : "false"}" ${problem && html`aria-describedby="country-problem"`}>
${session.automatic_tax.enabled && html`<button name="updateTax" value="1" type="submit" formnovalidate>Update tax</button>`}</div>
${problem && html`<p class="wrong" id="country-problem" role="alert">${problem}</p>`}</div>`;
}

/** What came of a button or a field that changes what is due; `pay` says that the page may go on to the payment. */
export interface MoneyAnswer {
  pay: boolean;
  problems: { promotionCode?: string; country?: string };
  alert?: string;
}

/** Applies codes and the country of a form that was sent. */
export function readMoney(world: World, session: CheckoutSession, form: URLSearchParams): MoneyAnswer {
  if (form.has("removeCode")) {
    applyPromotionCode(world, session, null);
    return { pay: false, problems: {} };
  }
  if (form.has("applyCode")) {
    const problem = applyPromotionCode(world, session, form.get("promotionCode") ?? "");
    return { pay: false, problems: problem ? { promotionCode: problem } : {} };
  }
  if (!asksForCountry(session)) return { pay: true, problems: {} };
  const country = (form.get("country") ?? "").trim().toUpperCase();
  if (!/^[A-Z]{2}$/.test(country)) return { pay: false, problems: { country: "Enter two letters, such as DE." } };
  const after = locateSession(world, session, country);
  if (form.has("updateTax")) return { pay: false, problems: {} };
  if (after.amount_total === session.amount_total) return { pay: true, problems: {} };
  return { pay: false, problems: {}, alert: "Tax was added for your country. Please check the total and confirm." };
}
