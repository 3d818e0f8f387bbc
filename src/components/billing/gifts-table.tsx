"use client";
// Gifts of credits behind links: what became of each, and the form that makes one.
import { type FormEvent, type ReactNode, useId, useRef, useState } from "react";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { CopyField } from "../ui/copy-field";
import { Dialog, FormButtons } from "../ui/dialog";
import { Field } from "../ui/field";
import { Input } from "../ui/input";
import { TextButton } from "../ui/link-button";
import { Select } from "../ui/select";
import { State } from "../ui/state";
import { Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { creditsInWords, formatRelative } from "./format";
import { LocalTime } from "./local-time";
import { useViewer } from "./viewer";

export interface Gift {
  id: string;
  amount: number;
  message: string | null;
  state: "open" | "claimed" | "cancelled" | "expired" | "withdrawn";
  createdAt: Date;
  expiresAt: Date;
  claimedBy: string | null;
}

export interface GiftsTableProps {
  gifts: readonly Gift[];
  now: Date;
  onCancel: (id: string) => Promise<void> | void;
  /** Turns what `onCancel` threw into a sentence. */
  describeError?: (error: unknown) => string;
}

export function GiftsTable({ gifts, now, onCancel, describeError }: GiftsTableProps) {
  const viewer = useViewer();
  return (
    <Table caption="Gifts of credits, newest first">
      <THead>
        <TH>Gift</TH>
        <TH wide>Made</TH>
        <TH wide>State</TH>
        <TH num>
          <span className="sr-only">Actions</span>
        </TH>
      </THead>
      <TBody>
        {gifts.map((gift) => {
          const words = creditsInWords(gift.amount, viewer.locale);
          const state = <GiftStateWord gift={gift} now={now} />;
          return (
            <TR key={gift.id}>
              <TH scope="row">
                <span className="row-link">{words}</span>
                {gift.message ? <Sub>{gift.message}</Sub> : null}
                <Sub narrow>{state}</Sub>
              </TH>
              <TD wide>
                <LocalTime value={gift.createdAt} show="date" />
              </TD>
              <TD wide>{state}</TD>
              <TD num>
                {gift.state === "open" ? (
                  <ConfirmDialog
                    destructive
                    trigger={<TextButton aria-label={`Cancel the gift of ${words}`}>Cancel</TextButton>}
                    title={`Cancel the gift of ${words}?`}
                    confirm="Cancel gift"
                    onConfirm={() => onCancel(gift.id)}
                    describeError={describeError}
                  >
                    <p>Its link stops working at once, and the credits can be spent here again.</p>
                  </ConfirmDialog>
                ) : null}
              </TD>
            </TR>
          );
        })}
      </TBody>
    </Table>
  );
}

function GiftStateWord({ gift, now }: { gift: Gift; now: Date }) {
  const viewer = useViewer();
  if (gift.state === "open") {
    return (
      <span suppressHydrationWarning>
        <State>open, ends {formatRelative(gift.expiresAt, now, viewer)}</State>
      </span>
    );
  }
  if (gift.state === "claimed") {
    // A name may be long, and breaks where it has to.
    return (
      <span className="text-ink-3 [overflow-wrap:anywhere]">
        {gift.claimedBy ? `claimed by ${gift.claimedBy}` : "claimed"}
      </span>
    );
  }
  return <State tone="quiet">{gift.state === "expired" ? "not claimed in time" : gift.state}</State>;
}

const DAYS = [7, 30, 60];
const USUAL_DAYS = 30;
const DAY_MS = 24 * 60 * 60 * 1000;
const LONGEST_MESSAGE = 200;

export interface GiftDialogProps {
  /** What can be given at the most. */
  transferable: number;
  /** Throws with what to show when it cannot be done. @returns the link, which is shown this once */
  onGive: (input: {
    amount: number;
    message: string | null;
    expiresAt: Date;
    idempotencyKey: string;
  }) => Promise<{ link: string | null; expiresAt: Date }>;
  describeError: (error: unknown) => string;
  trigger?: ReactNode;
}

/** "Make a gift": how many credits, for how long; then the link. */
export function GiftDialog({ transferable, onGive, describeError, trigger }: GiftDialogProps) {
  const viewer = useViewer();
  const formId = useId();
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [made, setMade] = useState<{ link: string | null; expiresAt: Date } | null>(null);
  const [openedAt, setOpenedAt] = useState(0);
  // The same again, because no answer came, is the same gift.
  const sent = useRef({ text: "", idempotencyKey: "" });

  function turn(next: boolean) {
    setError(null);
    setMade(null);
    if (next) setOpenedAt(Date.now());
    setOpen(next);
  }

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const input = {
      amount: Number(form.get("amount")),
      message: String(form.get("message") ?? "").trim() || null,
      expiresAt: new Date(openedAt + Number(form.get("days")) * DAY_MS),
    };
    const text = JSON.stringify(input);
    if (sent.current.text !== text) sent.current = { text, idempotencyKey: crypto.randomUUID() };
    setBusy(true);
    setError(null);
    try {
      setMade(await onGive({ ...input, idempotencyKey: sent.current.idempotencyKey }));
    } catch (thrown) {
      setError(describeError(thrown));
    } finally {
      setBusy(false);
    }
  }

  return (
    <Dialog
      open={open}
      onOpenChange={turn}
      trigger={trigger ?? <Button>Make a gift</Button>}
      title={made ? "The gift is ready" : "Make a gift"}
      description={
        made ? (
          <>
            Copy the link now: it is shown once. Whoever opens it first can claim the credits for their organization
            until <LocalTime value={made.expiresAt} zone />.
          </>
        ) : (
          "The credits are set aside here until somebody claims them with a link, and come free again when nobody does."
        )
      }
      footer={
        made ? (
          <Button variant="primary" onClick={() => turn(false)}>
            Done
          </Button>
        ) : (
          <FormButtons formId={formId} submit="Make gift" busy={busy} onCancel={() => turn(false)} />
        )
      }
    >
      {made ? (
        <div className="grid gap-3">
          {made.link ? <CopyField stacked value={made.link} label="Link of the gift" /> : null}
          <p className="text-sm text-ink-2">If the link gets lost, cancel the gift and make another.</p>
        </div>
      ) : (
        <form id={formId} onSubmit={submit} className="grid gap-4">
          <Field
            label="Credits"
            hint={`Up to ${creditsInWords(transferable, viewer.locale)}. Promotional and trial credits stay here.`}
            error={error}
          >
            <Input name="amount" type="number" inputMode="numeric" required min={1} max={transferable} step={1} />
          </Field>
          <Field label="Message" optional hint="Shown to whoever opens the link.">
            <Input name="message" maxLength={LONGEST_MESSAGE} autoComplete="off" />
          </Field>
          <Field label="Can be claimed for" hint="Less, where the credits themselves expire sooner.">
            <Select name="days" defaultValue={USUAL_DAYS}>
              {DAYS.map((days) => (
                <option key={days} value={days}>
                  {days} days
                </option>
              ))}
            </Select>
          </Field>
        </form>
      )}
    </Dialog>
  );
}
