// The card form of Checkout, portal and invoices: its fields, its checks and Stripe's words for what is wrong.
import { passesLuhn, TEST_CARDS } from "../engine/cards";
import { type Html, html } from "./html";

export interface CardValues {
  cardNumber: string;
  cardExpiry: string;
  cardCvc: string;
  billingName: string;
}

export type Problems = Partial<Record<keyof CardValues | "email", string>>;

export interface Card {
  number: string;
  expMonth: number;
  expYear: number;
  name: string;
}

export function valuesOf(form: URLSearchParams): CardValues {
  const text = (name: string) => (form.get(name) ?? "").trim();
  return {
    cardNumber: text("cardNumber"),
    cardExpiry: text("cardExpiry"),
    cardCvc: text("cardCvc"),
    billingName: text("billingName"),
  };
}

function expiryOf(text: string): { month: number; year: number } | null {
  const [, month, year] = /^(\d{1,2})\s*[/-]?\s*(\d{4}|\d{2})$/.exec(text.trim()) ?? [];
  if (!month || !year || Number(month) < 1 || Number(month) > 12) return null;
  return { month: Number(month), year: Number(year) + (year.length === 2 ? 2000 : 0) };
}

/** The card that was typed, or what is wrong with it. `now` in unix seconds. */
export function readCard(values: CardValues, now: number): { card: Card } | { problems: Problems } {
  const problems: Problems = {};
  const number = values.cardNumber.replaceAll(/[\s-]/g, "");
  if (!/^\d{13,19}$/.test(number)) problems.cardNumber = "Your card number is incomplete.";
  else if (!passesLuhn(number)) problems.cardNumber = "Your card number is invalid.";
  const expiry = expiryOf(values.cardExpiry);
  const today = new Date(now * 1000);
  if (!expiry) problems.cardExpiry = "Your card's expiration date is incomplete.";
  else if (expiry.year < today.getUTCFullYear()) problems.cardExpiry = "Your card's expiration year is in the past.";
  else if (expiry.year === today.getUTCFullYear() && expiry.month < today.getUTCMonth() + 1) {
    problems.cardExpiry = "Your card's expiration date is in the past.";
  }
  const digits = TEST_CARDS[number]?.brand === "amex" ? 4 : 3;
  if (!new RegExp(`^\\d{${digits}}$`).test(values.cardCvc)) {
    problems.cardCvc = "Your card's security code is incomplete.";
  }
  if (!values.billingName) problems.billingName = "Required";
  if (Object.keys(problems).length > 0 || !expiry) return { problems };
  return { card: { number, expMonth: expiry.month, expYear: expiry.year, name: values.billingName } };
}

interface Field {
  name: keyof CardValues | "email";
  label: string;
  value: string;
  problem?: string;
  autocomplete: string;
  type?: string;
  inputmode?: string;
  placeholder?: string;
}

export function field({ name, label, value, problem, autocomplete, type, inputmode, placeholder }: Field): Html {
  return html`<div class="field">
<label for="${name}">${label}</label>
<input id="${name}" name="${name}" type="${type ?? "text"}" value="${value}" autocomplete="${autocomplete}" inputmode="${inputmode ?? "text"}" placeholder="${placeholder ?? ""}" aria-invalid="${problem ? "true" : "false"}" ${problem && html`aria-describedby="${name}-problem"`}>
${problem && html`<p class="wrong" id="${name}-problem" role="alert">${problem}</p>`}
</div>`;
}

export function cardFields(values: CardValues, problems: Problems): Html {
  return html`${field({ name: "cardNumber", label: "Card number", value: values.cardNumber, problem: problems.cardNumber, autocomplete: "cc-number", inputmode: "numeric", placeholder: "4242 4242 4242 4242" })}
<div class="pair">
${field({ name: "cardExpiry", label: "Expiration", value: values.cardExpiry, problem: problems.cardExpiry, autocomplete: "cc-exp", inputmode: "numeric", placeholder: "MM / YY" })}
${field({ name: "cardCvc", label: "CVC", value: values.cardCvc, problem: problems.cardCvc, autocomplete: "cc-csc", inputmode: "numeric", placeholder: "123" })}
</div>
${field({ name: "billingName", label: "Cardholder name", value: values.billingName, problem: problems.billingName, autocomplete: "cc-name", placeholder: "Full name on card" })}`;
}

/** What to type, for whoever tries it out. */
export function testCards(): Html {
  const rows = Object.entries(TEST_CARDS).map(
    ([number, { note }]) =>
      html`<tr><td><code>${number.replaceAll(/(\d{4})(?=\d)/g, "$1 ")}</code></td><td>${note}</td></tr>`,
  );
  return html`<p class="small quiet" style="margin:16px 0 0">Try <code>4242 4242 4242 4242</code> to succeed, <code>4000 0000 0000 0002</code> to be declined.</p>
<details style="margin-top:4px"><summary>All test cards</summary>
<p class="quiet">Any expiration in the future, any CVC, any name.</p>
<table><thead><tr><th scope="col">Number</th><th scope="col">The card</th></tr></thead><tbody>${rows}</tbody></table></details>`;
}

export const CARD_SCRIPT = `
const number=document.getElementById("cardNumber"),expiry=document.getElementById("cardExpiry");
number?.addEventListener("input",()=>{const d=number.value.replace(/\\D/g,"").slice(0,19);number.value=d.replace(/(\\d{4})(?=\\d)/g,"$1 ")});
expiry?.addEventListener("input",(e)=>{if(e.inputType==="deleteContentBackward")return;const d=expiry.value.replace(/\\D/g,"").slice(0,6);expiry.value=d.length>2?d.slice(0,2)+" / "+d.slice(2):d});
`;
