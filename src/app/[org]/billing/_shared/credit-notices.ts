// What has happened to an organization's credits that somebody should know before anything else: what, what it means, what to do.
import { creditsInWords, formatTime, type Viewer } from "~/components/billing/format";
import type { RouterOutputs } from "~/server/api/root";
import type { Lot } from "./credits-view";

type Concerns = RouterOutputs["billing"]["concerns"];

export interface CreditNotice {
  id: string;
  level: "warn" | "danger";
  title: string;
  text: string;
  /** Whether buying credits helps. */
  buy: boolean;
}

/** Alerts that the notices say in words of their own. */
const SAID: ReadonlySet<string> = new Set(["credits_owed", "account_suspended", "payment_disputed", "dispute_lost"]);

export function isSaidByNotices(alert: { kind: string }): boolean {
  return SAID.has(alert.kind);
}

export function creditNotices(
  facts: Concerns & { balance: { debt: number }; lots: readonly Pick<Lot, "frozen">[] },
  viewer: Viewer,
): CreditNotice[] {
  const { alerts, suspension, balance, lots } = facts;
  const notices: CreditNotice[] = [];
  if (suspension) {
    const why = suspension.reason ? `${suspension.reason.replace(/[.\s]+$/u, "")}. ` : "";
    notices.push({
      id: "suspended",
      level: "danger",
      title: "Spending is suspended.",
      text: `${why}Requests that need credits are refused since ${day(suspension.since)}; the credits stay. Write to support to have it lifted.`,
      buy: false,
    });
  }
  if (balance.debt > 0) {
    notices.push({
      id: "debt",
      level: "danger",
      title: `${creditsInWords(balance.debt, viewer.locale)} ${balance.debt === 1 ? "is" : "are"} owed.`,
      text: `A payment was taken back after its credits had been spent; the next ones that come pay for them first.`,
      buy: true,
    });
  }
  const disputed = alerts.filter((alert) => alert.kind === "payment_disputed").length;
  if (disputed > 0) {
    const frozen = lots.reduce((sum, lot) => sum + lot.frozen, 0);
    const one = disputed === 1;
    const what =
      frozen > 0 ? `${creditsInWords(frozen, viewer.locale)} that ${one ? "it" : "they"} paid for` : "Its credits";
    notices.push({
      id: "disputed",
      level: "warn",
      title: one ? "A payment is disputed." : `${disputed} payments are disputed.`,
      text: `${what} cannot be spent until the bank has decided. Was it not meant? Withdraw it at the bank.`,
      buy: false,
    });
  }
  for (const alert of alerts.filter(({ kind }) => kind === "dispute_lost")) {
    notices.push({
      id: alert.id,
      level: "warn",
      title: "A disputed payment was decided for the payer.",
      text: `The credits that it had paid for were taken back on ${day(alert.createdAt)}.`,
      buy: true,
    });
  }
  return notices;

  function day(at: Date): string {
    return formatTime(at, viewer, { style: "longDay" });
  }
}
