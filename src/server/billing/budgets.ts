// Budgets: what a key, a member or a project may spend of its organization's credits, and what of it is used. Their
// definitions change under the account's lock; what is used changes with the ledger alone, in the same statement.
import { type BudgetScope, type BudgetWindow, windowEnd, windowStart } from "~/domain/budgets";
import { BillingError } from "~/domain/errors";
import { asOrganization, asPlatform, type Transaction } from "../db";
import { newId } from "../db/keys";
import { lookAtAccount } from "./credits";
import { lockAccount, saveAccounts } from "./ledger/accounts";
import { displayNames } from "./members";

/** All of them are loaded with the account, for each take. */
const MOST_BUDGETS = 500;

export interface BudgetRow {
  id: string;
  scope: BudgetScope;
  /** The key's or member's id, or the project's tag. */
  subject: string;
  /** What people call it; null for somebody who is no member any more. */
  subjectName: string | null;
  window: BudgetWindow;
  limit: number;
  /** Spent or held in the present window, since the budget was made. */
  used: number;
  /** When the window ends and `used` begins anew; null for the one that has no end. */
  resetsAt: Date | null;
  createdAt: Date;
}

/** The organization's budgets with what is used of them now. @throws BillingError NOT_FOUND */
export async function listBudgets(organizationId: string, now: Date): Promise<BudgetRow[]> {
  const { state } = await lookAtAccount(organizationId, now);
  const current = new Map(state.budgets.map((budget) => [budget.id, budget]));
  return asOrganization(organizationId, async (tx) => {
    const rows = await tx.creditBudget.findMany({
      where: { organizationId, active: true },
      orderBy: [{ scope: "asc" }, { createdAt: "asc" }, { window: "asc" }, { id: "asc" }],
      take: MOST_BUDGETS,
    });
    const names = await subjectNames(tx, rows);
    return rows.map(({ id, scope, subject, window, limit, createdAt }) => ({
      id,
      scope,
      subject,
      subjectName: names.get(subject) ?? null,
      window,
      limit: Number(limit),
      used: current.get(id)?.used.get(windowStart(window, now)) ?? 0,
      resetsAt: windowEnd(window, now),
      createdAt,
    }));
  });
}

async function subjectNames(
  tx: Transaction,
  budgets: { scope: BudgetScope; subject: string }[],
): Promise<Map<string, string>> {
  const subjects = (scope: BudgetScope) => budgets.filter((one) => one.scope === scope).map((one) => one.subject);
  const keys = await tx.apiKey.findMany({
    where: { id: { in: subjects("api_key") } },
    select: { id: true, name: true },
  });
  const members = await displayNames(tx, subjects("member"));
  const names = new Map(keys.map((key) => [key.id, key.name]));
  for (const subject of subjects("member")) {
    const name = members.get(subject);
    if (name !== undefined) names.set(subject, name);
  }
  for (const subject of subjects("project")) names.set(subject, subject);
  return names;
}

export interface BudgetSubjects {
  keys: { id: string; name: string }[];
  members: { id: string; name: string }[];
  /** Tags that credits were spent for lately; any other may be named as well. */
  projects: string[];
}

/** Offered, not all of what there may be. */
const MOST_SUBJECTS = 200;
const RECENT_DAYS = 90;

/** Whom a budget can be made for. */
export function listBudgetSubjects(organizationId: string, now: Date): Promise<BudgetSubjects> {
  return asOrganization(organizationId, async (tx) => {
    const keys = await tx.apiKey.findMany({
      where: { organizationId, revokedAt: null },
      select: { id: true, name: true },
      orderBy: { name: "asc" },
      take: MOST_SUBJECTS,
    });
    const members = await tx.membership.findMany({
      where: { organizationId },
      select: { user: { select: { id: true, name: true, email: true } } },
      orderBy: { createdAt: "asc" },
      take: MOST_SUBJECTS,
    });
    const since = new Date(now.getTime() - RECENT_DAYS * 86_400_000);
    const projects = await tx.$queryRaw<{ project: string }[]>`
      SELECT DISTINCT project FROM credit_usage_slots
      WHERE organization_id = ${organizationId}::uuid AND slot >= ${since}::timestamptz AND project <> ''
      ORDER BY project LIMIT ${MOST_SUBJECTS}`;
    return {
      keys,
      members: members.map(({ user }) => ({ id: user.id, name: user.name ?? user.email })),
      projects: projects.map(({ project }) => project),
    };
  });
}

export interface NewBudget {
  organizationId: string;
  scope: BudgetScope;
  /** Id of a key of the organization or of one of its members, or a project's tag. */
  subject: string;
  window: BudgetWindow;
  limit: number;
  actor: string;
  now: Date;
}

/**
 * Limits what a key, a member or a project may spend. What they spent before is not counted.
 * @throws BillingError NOT_FOUND (organization, key or member), INVALID_INPUT where they have a budget for such a window
 *   `{ budgetId }`, or the organization has too many
 */
export function createBudget(request: NewBudget): Promise<{ id: string }> {
  const { organizationId, scope, window, limit, actor, now } = request;
  return asPlatform(async (tx) => {
    const account = await lockAccount(tx, organizationId, now);
    const subject = await getSubject(tx, request);
    await requireRoomForBudget(tx, { organizationId, scope, subject, window });
    // The row that the budget counts from has to be in the ledger.
    await saveAccounts(tx, [account]);
    const id = newId(now);
    await tx.creditBudget.create({
      data: {
        id,
        organizationId,
        scope,
        subject,
        window,
        limit: BigInt(limit),
        sinceSeq: BigInt(account.state.lastSeq),
        createdBy: actor,
        createdAt: now,
        updatedAt: now,
      },
    });
    return { id };
  });
}

/** The subject as takes will name it. @throws BillingError NOT_FOUND */
async function getSubject(tx: Transaction, { organizationId, scope, subject }: NewBudget): Promise<string> {
  if (scope === "project") return subject;
  if (scope === "api_key") {
    const key = await tx.apiKey.findFirst({ where: { id: subject, organizationId, revokedAt: null } });
    if (!key) throw new BillingError("NOT_FOUND", "There is no such API key.", { apiKeyId: subject });
    return key.id;
  }
  const member = await tx.membership.findFirst({ where: { organizationId, userId: subject } });
  if (!member) throw new BillingError("NOT_FOUND", "There is no such member.", { userId: subject });
  return member.userId;
}

async function requireRoomForBudget(
  tx: Transaction,
  budget: { organizationId: string; scope: BudgetScope; subject: string; window: BudgetWindow },
): Promise<void> {
  const { organizationId } = budget;
  const same = await tx.creditBudget.findFirst({ where: { ...budget, active: true }, select: { id: true } });
  if (same) {
    throw new BillingError("INVALID_INPUT", "There is such a budget already. Change its limit.", { budgetId: same.id });
  }
  const count = await tx.creditBudget.count({ where: { organizationId, active: true } });
  if (count < MOST_BUDGETS) return;
  throw new BillingError("INVALID_INPUT", `There are ${MOST_BUDGETS} budgets already. Remove one first.`);
}

interface BudgetAddress {
  organizationId: string;
  budgetId: string;
  now: Date;
}

/** Changes a budget's limit, from the next take on; what is used stays. @throws BillingError NOT_FOUND */
export function updateBudget(request: BudgetAddress & { limit: number }): Promise<{ id: string; limit: number }> {
  const { limit, now } = request;
  return change(request, async (tx, budget) => {
    if (!budget.active) throw noSuchBudget(budget.id);
    await tx.creditBudget.update({ where: { id: budget.id }, data: { limit: BigInt(limit), updatedAt: now } });
    return { id: budget.id, limit };
  });
}

/** Ends a budget; ending it again changes nothing. What it has counted is kept. @throws BillingError NOT_FOUND */
export function removeBudget(request: BudgetAddress): Promise<{ id: string }> {
  return change(request, async (tx, budget) => {
    const data = { active: false, updatedAt: request.now };
    if (budget.active) await tx.creditBudget.update({ where: { id: budget.id }, data });
    return { id: budget.id };
  });
}

/** Under the account's lock: a take that is being decided has either the one definition or the other. */
function change<T>(
  { organizationId, budgetId, now }: BudgetAddress,
  work: (tx: Transaction, budget: { id: string; active: boolean }) => Promise<T>,
): Promise<T> {
  return asPlatform(async (tx) => {
    await lockAccount(tx, organizationId, now);
    const budget = await tx.creditBudget.findFirst({ where: { id: budgetId, organizationId } });
    if (!budget) throw noSuchBudget(budgetId);
    return work(tx, budget);
  });
}

function noSuchBudget(budgetId: string): BillingError {
  return new BillingError("NOT_FOUND", "There is no such budget.", { budgetId });
}
