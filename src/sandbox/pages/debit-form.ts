// Paying from a bank account in Checkout: the fields, what is wrong with them, and the accounts that work here.
import { BANK_ACCOUNTS, DEBITS, type DebitType, isDebitType, readAccount } from "../engine/bank-accounts";
import { StripeError } from "../errors";
import type { CheckoutSession } from "../types";
import { type Html, html } from "./html";

export interface DebitValues {
  type: DebitType;
  number: string;
  problem?: string;
}

/** The debit that a form asks for; null when it asks for a card. */
export function readDebit(session: CheckoutSession, form: URLSearchParams): DebitValues | null {
  const type = form.get("method") ?? "";
  if (!isDebitType(type) || !session.payment_method_types.includes(type)) return null;
  const typed = (form.get("account") ?? "").trim() || DEBITS[type].usual;
  try {
    return { type, number: readAccount(type, typed) };
  } catch (error) {
    if (error instanceof StripeError) return { type, number: typed, problem: error.message };
    throw error;
  }
}

/** Paying from a bank account, where the session offers it; folded away beside a card. */
export function debitFields(session: CheckoutSession, label: string, typed: DebitValues | null): Html | null {
  const type = session.payment_method_types.find(isDebitType);
  if (!type) return null;
  const { usual, label: name } = DEBITS[type];
  const accounts = Object.entries(BANK_ACCOUNTS).filter(([, { debit }]) => debit.type === type);
  const rows = accounts.map(([number, { note }]) => html`<tr><td><code>${number}</code></td><td>${note}</td></tr>`);
  const open = typed !== null || !session.payment_method_types.includes("card");
  return html`<details ${open && "open"}><summary>${name}</summary>
<div class="field" style="margin-top:12px"><label for="account">${type === "sepa_debit" ? "IBAN" : "Account number"}</label>
<input id="account" name="account" value="${typed?.number ?? ""}" placeholder="${usual}" autocomplete="off" aria-invalid="${typed?.problem ? "true" : "false"}" ${typed?.problem && html`aria-describedby="account-problem"`}>
${typed?.problem && html`<p class="wrong" id="account-problem" role="alert">${typed.problem}</p>`}</div>
<button class="wide" type="submit" name="method" value="${type}">${label} from this account</button>
<p class="quiet" style="margin-top:12px">The bank decides days later; until then the payment is on its way. Empty: the account that succeeds.</p>
<table><thead><tr><th scope="col">Account</th><th scope="col">A payment from it</th></tr></thead><tbody>${rows}</tbody></table></details>`;
}
