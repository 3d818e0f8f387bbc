"use client";
// Who was invited and has not come yet; inviting, sending again, taking back.
import { InvitationsTable, InviteDialog } from "~/components/billing/invitations-table";
import { roleOptions } from "~/components/billing/roles";
import { EmptyState } from "~/components/ui/empty-state";
import { Panel } from "~/components/ui/panel";
import { toastDone, toastError } from "~/components/ui/toast";
import { type ActingRole, canAssignRole, type OrganizationRole } from "~/domain/capabilities";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";

export interface InvitationsPanelProps {
  organizationId: string;
  initialInvitations: RouterOutputs["invitations"]["list"];
  /** What whoever looks is in the organization. */
  role: ActingRole;
  now: Date;
}

export function InvitationsPanel({ organizationId, initialInvitations, role, now }: InvitationsPanelProps) {
  const utils = trpc.useUtils();
  const { data: invitations } = trpc.invitations.list.useQuery({ organizationId }, { initialData: initialInvitations });
  const refresh = () => utils.invitations.list.invalidate({ organizationId });
  const invite = trpc.invitations.create.useMutation({ onSettled: refresh });
  const revoke = trpc.invitations.revoke.useMutation({ onSettled: refresh });

  async function sendAgain(id: string) {
    const invitation = invitations.find((one) => one.id === id);
    if (!invitation) return;
    try {
      await invite.mutateAsync({ organizationId, email: invitation.email, role: invitation.role });
      toastDone(`A new link is on its way to ${invitation.email}`, { description: "The older one no longer works." });
    } catch (error) {
      toastError("The invitation was not sent again", { description: failureWords(error) });
    }
  }

  return (
    <Panel
      title="Invitations"
      action={
        <InviteDialog
          roles={roleOptions.filter((option) => canAssignRole(role, null, option.value as OrganizationRole))}
          onInvite={async ({ email, role: invited }) => {
            await invite.mutateAsync({ organizationId, email, role: invited as OrganizationRole });
            toastDone(`The invitation is on its way to ${email}`);
          }}
          describeError={failureWords}
        />
      }
    >
      {invitations.length > 0 ? (
        <InvitationsTable
          invitations={invitations}
          now={now}
          onResend={sendAgain}
          onRevoke={async (id) => void (await revoke.mutateAsync({ organizationId, invitationId: id }))}
          describeError={failureWords}
        />
      ) : (
        <EmptyState
          title="No open invitations"
          text="Whoever you invite gets a mail with a link. Until they accept it, they stand here."
        />
      )}
    </Panel>
  );
}
