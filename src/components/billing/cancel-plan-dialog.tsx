"use client";
// Asks before a plan is ended: when, what becomes of credits and money, and, for whoever likes to say, why.
import { type ReactNode, useId, useState } from "react";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Field } from "../ui/field";
import { OptionList } from "../ui/option-list";
import { Select } from "../ui/select";
import { Textarea } from "../ui/textarea";

export type CancelAt = "period_end" | "now";

export interface CancelRequest<Reason extends string> {
  at: CancelAt;
  reason: Reason | null;
  comment: string | null;
}

export interface CancelPlanDialogProps<Reason extends string> {
  planName: string;
  /** The last day that is paid for, as it is said: "1 December". */
  endsOn: string;
  /** What becomes of the credits in each case, as a sentence. */
  credits: Record<CancelAt, string>;
  /** A trial ends instead of a period. */
  trial?: boolean;
  reasons: readonly { value: Reason; label: string }[];
  onCancel: (request: CancelRequest<Reason>) => Promise<void>;
  describeError: (error: unknown) => string;
  trigger: ReactNode;
}

const LONGEST_COMMENT = 1_000;

export function CancelPlanDialog<Reason extends string>({
  planName,
  endsOn,
  credits,
  trial = false,
  reasons,
  onCancel,
  describeError,
  trigger,
}: CancelPlanDialogProps<Reason>) {
  const name = useId();
  const [at, setAt] = useState<CancelAt>("period_end");
  const [reason, setReason] = useState<Reason | "">("");
  const [comment, setComment] = useState("");
  const said = comment.trim();
  return (
    <ConfirmDialog
      trigger={trigger}
      title={`Cancel ${planName}`}
      confirm={at === "now" ? `End ${planName} now` : `Cancel on ${endsOn}`}
      cancel={`Keep ${planName}`}
      destructive
      onConfirm={() => onCancel({ at, reason: reason === "" ? null : reason, comment: said === "" ? null : said })}
      describeError={describeError}
    >
      <p>{planName} ends, and the organization goes on without a plan.</p>
      <OptionList
        label="When it ends"
        name={name}
        value={at}
        onChange={setAt}
        options={[
          {
            value: "period_end",
            label: `On ${endsOn}, when ${trial ? "the trial is over" : "what is paid for is over"}`,
            text: `Nothing more is charged. ${credits.period_end} Until then you can take it back.`,
          },
          {
            value: "now",
            label: "Now",
            text: `${trial ? "Nothing is charged" : "Nothing is paid back"}. ${credits.now} This cannot be undone.`,
          },
        ]}
      />
      <Field label="Why do you cancel?" optional className="mt-2 text-ink">
        <Select value={reason} onChange={(event) => setReason(event.target.value as Reason | "")}>
          <option value="">Rather not say</option>
          {reasons.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </Select>
      </Field>
      {reason === "" ? null : (
        <Field label="What would have kept you?" optional className="text-ink">
          <Textarea
            rows={2}
            maxLength={LONGEST_COMMENT}
            value={comment}
            onChange={(event) => setComment(event.target.value)}
          />
        </Field>
      )}
    </ConfirmDialog>
  );
}
