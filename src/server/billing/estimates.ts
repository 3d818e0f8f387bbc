// What a take would do: the same rule as the take's, run on an account that is only looked at. Nothing is written.
import type { Account } from "~/domain/account";
import { BillingError, type BillingErrorCode, type BillingErrorDetails, invariant } from "~/domain/errors";
import { costOf, type PricedEvent, rateAt, requireEvent } from "~/domain/rate-card";
import { consume } from "~/domain/spending";
import { database } from "../db/pool";
import { type Allocation, callerKey, causeOf, lookAtAccount, type Spender } from "./credits";
import { type RateCard, readRateCard, type StoredRateCard } from "./ledger/load";

export interface Question extends Spender {
  organizationId: string;
  eventName: string;
  /** Units of the event; a positive whole number. */
  quantity: number;
  now: Date;
}

export interface Estimate {
  cost: number;
  /** The rate: `unitCost` credits for `perUnits` units, by the rate card's version. */
  unitCost: number;
  perUnits: number;
  rateVersion: number;
  available: number;
  /** What would be left; null where the credits do not suffice. */
  remaining: number | null;
  /** Whether there are credits enough; a budget may refuse nevertheless. */
  sufficient: boolean;
  /** Which lots would pay, in burn order; none where the credits do not suffice. */
  allocations: Allocation[];
  /** The budget that would refuse, as BUDGET_EXCEEDED says it. */
  budget: BillingErrorDetails | null;
  /** Why nothing can be spent at all, however many credits there are; null where that is not so. */
  stopped: { code: "ACCOUNT_SUSPENDED" | "PAYMENT_OVERDUE"; details: BillingErrorDetails } | null;
}

/**
 * What a quantity of an event would cost, and which lots would pay.
 * @throws BillingError UNKNOWN_EVENT, INACTIVE_EVENT, INVALID_INPUT, NOT_FOUND
 */
export async function estimateConsumption(question: Question): Promise<Estimate> {
  const { account, rateCard } = await look(question);
  const event = priceOf(question, account, rateCard);
  const cost = costOf(event, question.quantity);
  const available = account.available(question.now);
  const sufficient = cost <= available;
  const parts = sufficient ? account.take(cost, question.now) : [];
  const refusal = refusalOf(question, account, event);
  return {
    cost,
    unitCost: event.cost,
    perUnits: event.perUnits,
    rateVersion: event.version,
    available,
    remaining: sufficient ? available - cost : null,
    sufficient,
    allocations: parts.map(({ lot, amount }) => ({ grantId: lot.id, source: lot.source, amount })),
    budget: refusal?.code === "BUDGET_EXCEEDED" ? refusal.details : null,
    stopped: refusal && stopOf(refusal),
  };
}

function stopOf({ code, details }: BillingError): Estimate["stopped"] {
  return code === "ACCOUNT_SUSPENDED" || code === "PAYMENT_OVERDUE" ? { code, details } : null;
}

export interface Check {
  allowed: boolean;
  /** Why not, with what the refused take would say. */
  reason: BillingErrorCode | null;
  details: BillingErrorDetails;
  /** null where there is no such event. */
  cost: number | null;
  available: number;
}

/**
 * Whether a take would be allowed at this instant. Another caller may be quicker: only the take itself is an answer to rely on.
 * @throws BillingError INVALID_INPUT (cost beyond a safe integer), NOT_FOUND
 */
export async function checkConsumption(question: Question): Promise<Check> {
  const { account, rateCard } = await look(question);
  const available = account.available(question.now);
  let cost: number | null = null;
  let refusal: BillingError | null;
  try {
    const event = priceOf(question, account, rateCard);
    cost = costOf(event, question.quantity);
    refusal = refusalOf(question, account, event);
  } catch (error) {
    if (!(error instanceof BillingError) || !EVENT_REFUSALS.includes(error.code)) throw error;
    refusal = error;
  }
  return { allowed: refusal === null, reason: refusal?.code ?? null, details: refusal?.details ?? {}, cost, available };
}

const EVENT_REFUSALS: readonly BillingErrorCode[] = ["UNKNOWN_EVENT", "INACTIVE_EVENT"];

async function look({ organizationId, now }: Question): Promise<{ account: Account; rateCard: RateCard }> {
  const [account, card] = await Promise.all([
    lookAtAccount(organizationId, now),
    database().query<{ card: StoredRateCard }>("SELECT ledger_rate_card() AS card"),
  ]);
  const [row] = card.rows;
  invariant(row, "the rate card answers");
  return { account, rateCard: readRateCard(row.card) };
}

function priceOf({ eventName, now }: Question, account: Account, rateCard: RateCard): PricedEvent {
  const event = requireEvent(rateCard.events.get(eventName), eventName, now);
  return rateAt(event, account.state.overrides, now);
}

/** Takes from the account that was looked at, which nobody saves. @returns why the take would be refused */
function refusalOf(question: Question, account: Account, event: PricedEvent): BillingError | null {
  const { quantity, now } = question;
  const cause = causeOf(question, callerKey("what if", null));
  try {
    consume(account, { cost: costOf(event, quantity), event, quantity, cause, at: now });
    return null;
  } catch (error) {
    if (error instanceof BillingError) return error;
    throw error;
  }
}
