"use client";
// Who was invited and has not come yet, and the form that invites.
import { type FormEvent, type ReactNode, useId, useState } from "react";
import { Button } from "../ui/button";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Dialog, FormButtons } from "../ui/dialog";
import { Field } from "../ui/field";
import { Input } from "../ui/input";
import { TextButton } from "../ui/link-button";
import { Select } from "../ui/select";
import { State } from "../ui/state";
import { Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { formatRelative } from "./format";
import { type RoleOption, roleOptions, roleWord } from "./roles";
import { useViewer } from "./viewer";

export interface Invitation {
  id: string;
  email: string;
  role: string;
  invitedBy?: string | null;
  expiresAt: Date;
}

export interface InvitationsTableProps {
  invitations: readonly Invitation[];
  now: Date;
  onResend?: (id: string) => void;
  onRevoke?: (id: string) => Promise<void> | void;
  /** Turns what `onRevoke` threw into a sentence. */
  describeError?: (error: unknown) => string;
}

export function InvitationsTable({ invitations, now, onResend, onRevoke, describeError }: InvitationsTableProps) {
  const viewer = useViewer();
  return (
    <Table caption="Invitations that were not accepted yet">
      <THead>
        <TH>Invited</TH>
        <TH wide>Role</TH>
        <TH wide>Link</TH>
        <TH num>
          <span className="sr-only">Actions</span>
        </TH>
      </THead>
      <TBody>
        {invitations.map((invitation) => {
          const over = invitation.expiresAt <= now;
          const when = formatRelative(invitation.expiresAt, now, viewer);
          const link = (
            <span suppressHydrationWarning>
              {over ? <State tone="warn">ended {when}</State> : <State>ends {when}</State>}
            </span>
          );
          return (
            <TR key={invitation.id}>
              <TH scope="row">
                <span className="row-link">{invitation.email}</span>
                {invitation.invitedBy ? <Sub>by {invitation.invitedBy}</Sub> : null}
                <Sub narrow>
                  {roleWord(invitation.role)}, link {link}
                </Sub>
              </TH>
              <TD wide>{roleWord(invitation.role)}</TD>
              <TD wide>{link}</TD>
              <TD num>
                <span className="inline-flex gap-x-4 max-sm:flex-col max-sm:items-end">
                  {onResend ? (
                    <TextButton
                      aria-label={`Send again to ${invitation.email}`}
                      onClick={() => onResend(invitation.id)}
                    >
                      Send again
                    </TextButton>
                  ) : null}
                  {onRevoke ? (
                    <ConfirmDialog
                      destructive
                      trigger={<TextButton aria-label={`Revoke invitation of ${invitation.email}`}>Revoke</TextButton>}
                      title={`Revoke the invitation of ${invitation.email}?`}
                      confirm="Revoke invitation"
                      onConfirm={() => onRevoke(invitation.id)}
                      describeError={describeError}
                    >
                      <p>The link in the mail stops working at once. You can invite them again.</p>
                    </ConfirmDialog>
                  ) : null}
                </span>
              </TD>
            </TR>
          );
        })}
      </TBody>
    </Table>
  );
}

export interface InviteDialogProps {
  roles?: readonly RoleOption[];
  /** Throws with a sentence to show when it cannot be done. */
  onInvite: (input: { email: string; role: string }) => Promise<void>;
  describeError?: (error: unknown) => string;
  trigger?: ReactNode;
}

/** "Invite member": an address and a role. */
export function InviteDialog({
  roles = roleOptions,
  onInvite,
  describeError = (error) => (error instanceof Error ? error.message : "The invitation could not be sent."),
  trigger,
}: InviteDialogProps) {
  const formId = useId();
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const [role, setRole] = useState(roles.at(-1)?.value ?? "member");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const email = String(new FormData(event.currentTarget).get("email") ?? "").trim();
    setBusy(true);
    setError(null);
    try {
      await onInvite({ email, role });
      setOpen(false);
    } catch (thrown) {
      setError(describeError(thrown));
    } finally {
      setBusy(false);
    }
  }

  return (
    <Dialog
      open={open}
      onOpenChange={(next) => {
        setError(null);
        setOpen(next);
      }}
      trigger={trigger ?? <Button>Invite member</Button>}
      title="Invite member"
      description="They get a mail with a link that is good for seven days."
      footer={<FormButtons formId={formId} submit="Send invitation" busy={busy} onCancel={() => setOpen(false)} />}
    >
      <form id={formId} onSubmit={submit} className="grid gap-4">
        <Field label="Email" error={error}>
          <Input name="email" type="email" required autoComplete="off" placeholder="name@company.com" />
        </Field>
        <Field label="Role" hint={roles.find((option) => option.value === role)?.hint}>
          <Select name="role" value={role} onChange={(event) => setRole(event.target.value)}>
            {roles.map((option) => (
              <option key={option.value} value={option.value}>
                {option.label}
              </option>
            ))}
          </Select>
        </Field>
      </form>
    </Dialog>
  );
}
