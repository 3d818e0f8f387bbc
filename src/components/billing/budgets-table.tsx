"use client";
// Budgets: what a key, a member or a project may spend and has spent; and the forms that make, change and end one.
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Dialog, FormButtons } from "../ui/dialog";
import { Field } from "../ui/field";
import { Input } from "../ui/input";
import { TextButton } from "../ui/link-button";
import { Meter } from "../ui/meter";
import { Segmented } from "../ui/segmented";
import { Select } from "../ui/select";
import { Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import {
  type BudgetScope,
  type BudgetTerms,
  type BudgetWindow,
  consequenceOf,
  scopeWords,
  standingOf,
  windowWords,
} from "./budget";
import { creditsInWords, formatCredits, formatTime } from "./format";
import { useViewer } from "./viewer";

export interface Budget {
  id: string;
  scope: BudgetScope;
  subject: string;
  /** null for somebody who is no member any more. */
  subjectName: string | null;
  window: BudgetWindow;
  limit: number;
  used: number;
  /** When it begins anew; null where it does not. */
  resetsAt: Date | null;
}

export interface BudgetsTableProps {
  budgets: readonly Budget[];
  /** Absent: this person may look but not change. */
  onChange?: (id: string, limit: number) => Promise<void> | void;
  onEnd?: (id: string) => Promise<void> | void;
  /** Turns what was thrown into a sentence. */
  describeError: (error: unknown) => string;
}

export function BudgetsTable({ budgets, onChange, onEnd, describeError }: BudgetsTableProps) {
  const viewer = useViewer();
  const credits = (amount: number) => formatCredits(amount, { locale: viewer.locale });
  const anew = ({ resetsAt }: Budget) =>
    resetsAt
      ? `anew on ${formatTime(resetsAt, { ...viewer, timeZone: "UTC" }, { style: "longDay" })}`
      : "does not begin anew";
  return (
    <Table caption="Budgets, with what is used of them">
      <THead>
        <TH>For</TH>
        <TH wide>Limit</TH>
        <TH wide className="w-[26%]">
          Used
        </TH>
        <TH num>Left</TH>
        {onChange || onEnd ? (
          <TH num>
            <span className="sr-only">Actions</span>
          </TH>
        ) : null}
      </THead>
      <TBody>
        {budgets.map((budget) => {
          const name = budget.subjectName ?? "somebody who has left";
          const left = Math.max(0, budget.limit - budget.used);
          const standing = standingOf(budget);
          const used = `${credits(budget.used)} of ${credits(budget.limit)}`;
          return (
            <TR key={budget.id}>
              <TH scope="row">
                <span className="row-link [overflow-wrap:anywhere]">{name}</span>
                <Sub>{scopeWords[budget.scope]}</Sub>
                <Sub narrow>
                  {used} {windowWords[budget.window]}
                </Sub>
              </TH>
              <TD wide>
                {credits(budget.limit)} {windowWords[budget.window]}
                <Sub>{anew(budget)}</Sub>
              </TD>
              <TD wide>
                <Meter value={budget.used} max={budget.limit} fill="s1" label={`${used} used`} className="mt-1 mb-1" />
                <Sub>{used}</Sub>
              </TD>
              <TD num>
                {credits(left)}
                {standing === "within" ? null : <Sub tone={standing === "used up" ? "danger" : "warn"}>{standing}</Sub>}
              </TD>
              {onChange || onEnd ? (
                <TD num>
                  <span className="inline-flex gap-3">
                    {onChange ? (
                      <ChangeBudgetDialog
                        budget={budget}
                        name={name}
                        onChange={(limit) => onChange(budget.id, limit)}
                        describeError={describeError}
                      />
                    ) : null}
                    {onEnd ? (
                      <ConfirmDialog
                        destructive
                        trigger={<TextButton aria-label={`End the budget of ${name}`}>End</TextButton>}
                        title={`End the budget of ${name}?`}
                        confirm="End budget"
                        cancel="Keep budget"
                        onConfirm={() => onEnd(budget.id)}
                        describeError={describeError}
                      >
                        <p>
                          From the next request on {name} may spend whatever the organization has. What was spent stays
                          in the ledger; another budget would count from nothing.
                        </p>
                      </ConfirmDialog>
                    ) : null}
                  </span>
                </TD>
              ) : null}
            </TR>
          );
        })}
      </TBody>
    </Table>
  );
}

interface ChangeBudgetDialogProps {
  budget: Budget;
  name: string;
  onChange: (limit: number) => Promise<void> | void;
  describeError: (error: unknown) => string;
}

function ChangeBudgetDialog({ budget, name, onChange, describeError }: ChangeBudgetDialogProps) {
  const { locale } = useViewer();
  const formId = useId();
  const form = useForm(describeError);
  const [limit, setLimit] = useState(String(budget.limit));
  const { scope, window, used } = budget;
  return (
    <Dialog
      open={form.open}
      onOpenChange={(next) => {
        setLimit(String(budget.limit));
        form.turn(next);
      }}
      trigger={<TextButton aria-label={`Change the budget of ${name}`}>Change</TextButton>}
      title={`Budget of ${name}`}
      description={`${creditsInWords(used, locale)} are used ${window === "total" ? "so far" : window === "day" ? "today" : "this month"}; they stay counted.`}
      footer={<FormButtons formId={formId} submit="Change limit" busy={form.busy} onCancel={() => form.turn(false)} />}
    >
      <form id={formId} onSubmit={(event) => form.submit(event, () => onChange(Number(limit)))} className="grid gap-4">
        <LimitField value={limit} onChange={setLimit} window={window} error={form.error} />
        <Consequence terms={{ scope, name, window, limit: toLimit(limit) }} used={used} />
      </form>
    </Dialog>
  );
}

export interface BudgetSubjects {
  keys: readonly { id: string; name: string }[];
  members: readonly { id: string; name: string }[];
  projects: readonly string[];
}

export interface CreateBudgetDialogProps {
  /** null while they are on their way. */
  subjects: BudgetSubjects | null;
  /** Throws with what to show when it cannot be done. */
  onCreate: (input: {
    scope: BudgetScope;
    subject: string;
    window: BudgetWindow;
    limit: number;
  }) => Promise<void> | void;
  describeError: (error: unknown) => string;
  trigger?: ReactNode;
}

const SCOPES = [
  { value: "api_key", label: "API key" },
  { value: "member", label: "Member" },
  { value: "project", label: "Project" },
] as const satisfies readonly { value: BudgetScope; label: string }[];

/** "Create budget": for whom, in which time, how much; and what will happen. */
export function CreateBudgetDialog({ subjects, onCreate, describeError, trigger }: CreateBudgetDialogProps) {
  const formId = useId();
  const listId = useId();
  const form = useForm(describeError);
  const [scope, setScope] = useState<BudgetScope>("api_key");
  const [subject, setSubject] = useState("");
  const [window, setWindow] = useState<BudgetWindow>("month");
  const [limit, setLimit] = useState("");
  const choices = scope === "api_key" ? subjects?.keys : subjects?.members;
  const name = scope === "project" ? subject.trim() : (choices?.find(({ id }) => id === subject)?.name ?? "");

  function turn(next: boolean) {
    setScope("api_key");
    setSubject("");
    setWindow("month");
    setLimit("");
    form.turn(next);
  }

  return (
    <Dialog
      open={form.open}
      onOpenChange={turn}
      trigger={trigger ?? <Button>Create budget</Button>}
      title="Create budget"
      description="A part of the organization may then spend so many credits and no more. Nothing is set aside for it."
      footer={<FormButtons formId={formId} submit="Create budget" busy={form.busy} onCancel={() => turn(false)} />}
    >
      <form
        id={formId}
        onSubmit={(event) =>
          form.submit(event, () => onCreate({ scope, subject: subject.trim(), window, limit: Number(limit) }))
        }
        className="grid gap-4"
      >
        <Segmented
          label="For"
          options={SCOPES}
          value={scope}
          onChange={(next) => {
            setScope(next);
            setSubject("");
          }}
        />
        {scope === "project" ? (
          <Field label="Which project" hint="The tag that services send with what they spend.">
            <Input
              required
              maxLength={100}
              autoComplete="off"
              list={listId}
              value={subject}
              onChange={(event) => setSubject(event.target.value)}
            />
            <datalist id={listId}>
              {subjects?.projects.map((project) => (
                <option key={project} value={project} />
              ))}
            </datalist>
          </Field>
        ) : (
          <Field
            key={scope}
            label={scope === "api_key" ? "Which key" : "Which member"}
            hint={
              choices?.length === 0
                ? "There is none yet."
                : scope === "api_key"
                  ? "Everything that is spent with this key."
                  : "What they spend, and what services spend on their behalf."
            }
          >
            <Select required value={subject} onChange={(event) => setSubject(event.target.value)}>
              <option value="" disabled>
                {choices === undefined ? "Loading…" : "Choose"}
              </option>
              {choices?.map((choice) => (
                <option key={choice.id} value={choice.id}>
                  {choice.name}
                </option>
              ))}
            </Select>
          </Field>
        )}
        <Field label="In">
          <Select value={window} onChange={(event) => setWindow(event.target.value as BudgetWindow)}>
            <option value="day">each day</option>
            <option value="month">each month</option>
            <option value="total">all in all</option>
          </Select>
        </Field>
        <LimitField value={limit} onChange={setLimit} window={window} error={form.error} />
        <Consequence terms={{ scope, name, window, limit: toLimit(limit) }} />
      </form>
    </Dialog>
  );
}

const MOST_CREDITS = 1_000_000_000_000;

interface LimitFieldProps {
  value: string;
  onChange: (value: string) => void;
  window: BudgetWindow;
  error: string | null;
}

function LimitField({ value, onChange, window, error }: LimitFieldProps) {
  return (
    <Field
      label="Credits at the most"
      hint={window === "total" ? null : "Days and months are those of UTC."}
      error={error}
    >
      <Input
        type="number"
        inputMode="numeric"
        required
        min={0}
        max={MOST_CREDITS}
        step={1}
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
    </Field>
  );
}

/** What will happen, as soon as it can be said. */
function Consequence({
  terms,
  used = 0,
}: {
  terms: Omit<BudgetTerms, "limit"> & { limit: number | null };
  used?: number;
}) {
  const { locale } = useViewer();
  const { limit, ...rest } = terms;
  return (
    <p aria-live="polite" className="min-h-[3.75rem] text-sm text-ink-2">
      {limit === null || rest.name === "" ? null : consequenceOf({ ...rest, limit }, used, locale)}
    </p>
  );
}

function toLimit(text: string): number | null {
  const limit = Number(text);
  return text.trim() !== "" && Number.isInteger(limit) && limit >= 0 ? limit : null;
}

/** A dialog with a form: open, busy, and what went wrong. */
function useForm(describeError: (error: unknown) => string) {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  function turn(next: boolean) {
    setError(null);
    setOpen(next);
  }
  async function submit(event: FormEvent<HTMLFormElement>, work: () => Promise<void> | void) {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await work();
      setOpen(false);
    } catch (thrown) {
      setError(describeError(thrown));
    } finally {
      setBusy(false);
    }
  }
  return { open, busy, error, turn, submit };
}
