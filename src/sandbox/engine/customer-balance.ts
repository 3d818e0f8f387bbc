// What a customer has left for later invoices (negative) or owes with the next one (positive), entry by entry.
import { newId } from "../ids";
import type { Customer, CustomerBalanceTransaction, Metadata } from "../types";
import type { World } from "../world";

export interface BalanceEntry {
  customer: string;
  /** In minor units; negative gives the customer credit. */
  amount: number;
  currency: string;
  type: CustomerBalanceTransaction["type"];
  invoice?: string | null;
  creditNote?: string | null;
  description?: string | null;
  metadata?: Metadata;
}

/** The balance that counts for invoices of a currency: it is kept in the customer's own currency only. */
export function balanceIn(customer: Customer | undefined, currency: string): number {
  if (!customer || (customer.currency && customer.currency !== currency)) return 0;
  return customer.balance;
}

/** Writes an entry down; the customer's balance is `endingBalance` then. */
export function noteBalance(world: World, given: BalanceEntry, endingBalance: number): CustomerBalanceTransaction {
  return world.customerBalanceTransactions.put({
    id: newId("cbtxn"),
    object: "customer_balance_transaction",
    amount: given.amount,
    checkout_session: null,
    created: world.now(),
    credit_note: given.creditNote ?? null,
    currency: given.currency,
    customer: given.customer,
    customer_account: null,
    description: given.description ?? null,
    ending_balance: endingBalance,
    invoice: given.invoice ?? null,
    livemode: false,
    metadata: given.metadata ?? {},
    type: given.type,
  } satisfies CustomerBalanceTransaction);
}

/** Writes an entry down and moves the customer's balance by it. */
export function enterBalance(world: World, given: BalanceEntry): CustomerBalanceTransaction | null {
  const customer = world.customers.get(given.customer);
  if (!customer || given.amount === 0) return null;
  const balance = customer.balance + given.amount;
  const entry = noteBalance(world, given, balance);
  const currency = customer.currency ?? given.currency;
  world.change(world.customers, given.customer, { balance, currency }, "customer.updated");
  return entry;
}
