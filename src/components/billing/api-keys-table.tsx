"use client";
// Keys with which services spend credits: who made them, when they were last used; and the form that makes one.
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Dialog, FormButtons } from "../ui/dialog";
import { Field } from "../ui/field";
import { Input } from "../ui/input";
import { TextButton } from "../ui/link-button";
import { SecretOnce } from "../ui/secret-once";
import { State } from "../ui/state";
import { Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { formatRelative } from "./format";
import { LocalDate } from "./local-time";
import { useViewer } from "./viewer";

export interface ApiKey {
  id: string;
  name: string;
  /** What may be shown of it: "bf_live_…7Qx". */
  hint: string;
  createdAt: Date;
  createdBy?: string | null;
  lastUsedAt: Date | null;
  revokedAt?: Date | null;
}

export interface ApiKeysTableProps {
  keys: readonly ApiKey[];
  now: Date;
  /** Absent: this person may look but not revoke. */
  onRevoke?: (id: string) => Promise<void> | void;
  /** Turns what `onRevoke` threw into a sentence. */
  describeError?: (error: unknown) => string;
  caption?: string;
}

export function ApiKeysTable({ keys, now, onRevoke, describeError, caption = "API keys" }: ApiKeysTableProps) {
  const viewer = useViewer();
  return (
    <Table caption={caption}>
      <THead>
        <TH>Name</TH>
        <TH wide>Key</TH>
        <TH wide>Created</TH>
        <TH>Last used</TH>
        {onRevoke ? (
          <TH num>
            <span className="sr-only">Revoke</span>
          </TH>
        ) : null}
      </THead>
      <TBody>
        {keys.map((key) => {
          const used = key.lastUsedAt ? formatRelative(key.lastUsedAt, now, viewer) : "never";
          return (
            <TR key={key.id} className={key.revokedAt ? "text-ink-3" : undefined}>
              <TH scope="row">
                <span className={key.revokedAt ? undefined : "row-link"}>{key.name}</span>
                {key.revokedAt ? (
                  <Sub>
                    revoked <LocalDate value={key.revokedAt} show="date" />
                  </Sub>
                ) : null}
                <Sub narrow>{key.hint}</Sub>
                <Sub narrow>
                  created <LocalDate value={key.createdAt} show="date" />
                </Sub>
              </TH>
              <TD wide className="whitespace-nowrap text-ink-2">
                {key.hint}
              </TD>
              <TD wide>
                <LocalDate value={key.createdAt} show="date" />
                {key.createdBy ? <Sub>by {key.createdBy}</Sub> : null}
              </TD>
              <TD>
                <span suppressHydrationWarning className={key.lastUsedAt ? undefined : "text-ink-3"}>
                  {used}
                </span>
              </TD>
              {onRevoke ? (
                <TD num>
                  {key.revokedAt ? (
                    <State tone="quiet">revoked</State>
                  ) : (
                    <ConfirmDialog
                      destructive
                      trigger={<TextButton aria-label={`Revoke ${key.name}`}>Revoke</TextButton>}
                      title={`Revoke the key “${key.name}”?`}
                      confirm="Revoke key"
                      cancel="Keep key"
                      onConfirm={() => onRevoke(key.id)}
                      describeError={describeError}
                    >
                      <p>
                        Every request that uses {key.hint} is refused from the next second on. A revoked key cannot be
                        brought back.
                      </p>
                      <p suppressHydrationWarning>
                        {key.lastUsedAt ? `It was last used ${used}.` : "It was never used."}
                      </p>
                    </ConfirmDialog>
                  )}
                </TD>
              ) : null}
            </TR>
          );
        })}
      </TBody>
    </Table>
  );
}

export interface CreateApiKeyDialogProps {
  /** Makes the key and gives back its secret, which is shown once. */
  onCreate: (input: { name: string }) => Promise<{ secret: string }>;
  describeError?: (error: unknown) => string;
  trigger?: ReactNode;
}

/** "Create API key": a name, then the secret, once. */
export function CreateApiKeyDialog({
  onCreate,
  describeError = (error) => (error instanceof Error ? error.message : "The key could not be created."),
  trigger,
}: CreateApiKeyDialogProps) {
  const formId = useId();
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [made, setMade] = useState<{ name: string; secret: string } | null>(null);

  function change(next: boolean) {
    setOpen(next);
    setError(null);
    // The secret is forgotten with the dialog: there is no second look.
    if (!next) setMade(null);
  }

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get("name") ?? "").trim();
    setBusy(true);
    setError(null);
    try {
      const { secret } = await onCreate({ name });
      setMade({ name, secret });
    } catch (thrown) {
      setError(describeError(thrown));
    } finally {
      setBusy(false);
    }
  }

  return (
    <Dialog
      open={open}
      onOpenChange={change}
      trigger={trigger ?? <Button>Create API key</Button>}
      title={made ? `Key “${made.name}”` : "Create API key"}
      description={made ? undefined : "The key may spend credits of this organization. Its secret is shown once."}
      footer={
        made ? (
          <Button variant="primary" onClick={() => change(false)}>
            Done
          </Button>
        ) : (
          <FormButtons formId={formId} submit="Create key" busy={busy} onCancel={() => change(false)} />
        )
      }
    >
      {made ? (
        <SecretOnce label="API key" secret={made.secret} />
      ) : (
        <form id={formId} onSubmit={submit}>
          <Field label="Name" hint="What uses it: “production”, “batch-worker”." error={error}>
            <Input name="name" required maxLength={64} autoComplete="off" />
          </Field>
        </form>
      )}
    </Dialog>
  );
}
