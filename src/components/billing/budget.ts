// Budgets in words: for whom, in which time, how they stand, and what one will do.
import { creditsInWords } from "./format";

export type BudgetScope = "api_key" | "member" | "project";
export type BudgetWindow = "day" | "month" | "total";

export const scopeWords: Record<BudgetScope, string> = { api_key: "API key", member: "member", project: "project" };

/** After a number of credits: "5,000 a month". */
export const windowWords: Record<BudgetWindow, string> = { day: "a day", month: "a month", total: "in all" };

/** From this share on a budget is worth a look. */
const NEARLY = 0.8;

export function standingOf({ used, limit }: { used: number; limit: number }): "within" | "nearly used up" | "used up" {
  if (used >= limit) return "used up";
  return used >= limit * NEARLY ? "nearly used up" : "within";
}

export interface BudgetTerms {
  scope: BudgetScope;
  name: string;
  window: BudgetWindow;
  limit: number;
}

const again: Record<BudgetWindow, string> = {
  day: "At midnight UTC it begins anew.",
  month: "On the first of each month, in UTC, it begins anew.",
  total: "It does not begin anew.",
};

/** What a budget does, before it is made or changed. @param used what is counted in it already */
export function consequenceOf({ scope, name, window, limit }: BudgetTerms, used = 0, locale = "en-US"): string {
  const who = `${scope === "project" ? "Project " : ""}${name}`;
  if (limit === 0) return `Every request of ${who} that needs credits is refused, from the next one on.`;
  const amount = creditsInWords(limit, locale);
  const over = used >= limit ? `That is used up already: the next request of ${who} is refused. ` : "";
  const refused = over || "A request that goes beyond is refused, and nothing is taken. ";
  return `${who} may spend ${amount} ${windowWords[window]}, holds included. ${refused}${again[window]}`;
}
