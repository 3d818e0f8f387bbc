"use client";
// Who belongs to the organization: what each may do, changing it, and leaving.
import { useRouter } from "next/navigation";
import { useState } from "react";
import { MembersTable } from "~/components/billing/members-table";
import { roleOptions, roleWord } from "~/components/billing/roles";
import { ConfirmDialog } from "~/components/ui/confirm-dialog";
import { Panel, PanelFoot } from "~/components/ui/panel";
import { toastDone, toastError } from "~/components/ui/toast";
import { type ActingRole, can, canAssignRole, type OrganizationRole } from "~/domain/capabilities";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";

export interface MembersPanelProps {
  organizationId: string;
  organizationName: string;
  initialMembers: RouterOutputs["members"]["list"];
  /** Who looks. */
  userId: string;
  /** What they are in the organization. */
  role: ActingRole;
}

export function MembersPanel({ organizationId, organizationName, initialMembers, userId, role }: MembersPanelProps) {
  const router = useRouter();
  const utils = trpc.useUtils();
  const { data: members } = trpc.members.list.useQuery({ organizationId }, { initialData: initialMembers });
  const manages = can(role, "members:manage");
  const owners = members.filter((member) => member.role === "owner").length;
  const [ownNext, setOwnNext] = useState<OrganizationRole | null>(null);

  const changeRole = trpc.members.changeRole.useMutation({
    // Shown at once; a refusal puts it back.
    onMutate: (change) => {
      const before = utils.members.list.getData({ organizationId });
      utils.members.list.setData({ organizationId }, (list) =>
        list?.map((member) => (member.userId === change.userId ? { ...member, role: change.role } : member)),
      );
      return { before };
    },
    onSuccess: (changed) => {
      const member = members.find((one) => one.userId === changed.userId);
      toastDone(`${member?.name ?? member?.email ?? "The member"} is ${roleWord(changed.role)} now`);
      // What the page offers follows from one's own role.
      if (changed.userId === userId) router.refresh();
    },
    onError: (error, _change, context) => {
      utils.members.list.setData({ organizationId }, context?.before);
      toastError("The role was not changed", { description: failureWords(error) });
    },
    onSettled: () => utils.members.list.invalidate({ organizationId }),
  });
  const remove = trpc.members.remove.useMutation({
    onSettled: () => utils.members.list.invalidate({ organizationId }),
  });
  const leave = trpc.members.leave.useMutation();

  function lockedBecause(member: (typeof members)[number]): string | null {
    if (member.role !== "owner") return null;
    if (owners === 1) return manages || member.userId === userId ? "the only owner" : null;
    return manages && !canAssignRole(role, "owner", "member") && member.userId !== userId
      ? "owners change owners"
      : null;
  }

  const assignable = roleOptions.filter((option) => canAssignRole(role, null, option.value as OrganizationRole));
  return (
    <Panel title="Members" note={members.length === 1 ? "one person" : `${members.length} people`}>
      <MembersTable
        members={members.map((member) => ({
          id: member.userId,
          name: member.name,
          email: member.email,
          role: member.role,
          joinedAt: member.joinedAt,
          isYou: member.userId === userId,
          locked: lockedBecause(member),
        }))}
        organizationName={organizationName}
        roles={manages ? assignable : roleOptions}
        onRoleChange={
          manages
            ? (id, next) => {
                if (id === userId) setOwnNext(next as OrganizationRole);
                else changeRole.mutate({ organizationId, userId: id, role: next as OrganizationRole });
              }
            : undefined
        }
        onRemove={manages ? async (id) => void (await remove.mutateAsync({ organizationId, userId: id })) : undefined}
        onLeave={async () => {
          await leave.mutateAsync({ organizationId });
          // The sign-in page knows where else somebody belongs.
          window.location.assign("/signin");
        }}
        describeError={failureWords}
      />
      <PanelFoot>
        <p>
          {!manages
            ? "An owner or admin can invite people and change roles."
            : owners === 1
              ? "The only owner can leave or take another role after making somebody else an owner."
              : "Owners and admins manage members; only owners decide who the owners are."}
        </p>
      </PanelFoot>
      <ConfirmDialog
        open={ownNext !== null}
        onOpenChange={(open) => (open ? undefined : setOwnNext(null))}
        title={`Become ${roleWord(ownNext ?? "member")}?`}
        confirm={`Become ${roleWord(ownNext ?? "member")}`}
        cancel="Keep my role"
        onConfirm={async () => {
          if (ownNext) await changeRole.mutateAsync({ organizationId, userId, role: ownNext });
        }}
        describeError={failureWords}
      >
        <p>
          Your own role changes at once: {roleOptions.find((option) => option.value === ownNext)?.hint?.toLowerCase()}.
          You may need somebody else to change it back.
        </p>
      </ConfirmDialog>
    </Panel>
  );
}
