"use client";
// Who belongs to the organization and what they may do.
import { Avatar } from "../ui/avatar";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { TextButton } from "../ui/link-button";
import { Select } from "../ui/select";
import { Tag } from "../ui/state";
import { Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { LocalDate } from "./local-time";
import { type RoleOption, roleOptions, roleWord } from "./roles";

export interface Member {
  id: string;
  name: string | null;
  email: string;
  role: string;
  joinedAt: Date;
  isYou?: boolean;
  /** Says why role and membership cannot be changed: "the only owner". */
  locked?: string | null;
}

export interface MembersTableProps {
  members: readonly Member[];
  organizationName: string;
  roles?: readonly RoleOption[];
  /** Absent: this person may look but not change. */
  onRoleChange?: (memberId: string, role: string) => void;
  onRemove?: (memberId: string) => Promise<void> | void;
  /** Whoever looks leaves by themselves. Absent: not offered here. */
  onLeave?: () => Promise<void> | void;
  /** Turns what `onRemove` or `onLeave` threw into a sentence. */
  describeError?: (error: unknown) => string;
}

export function MembersTable({
  members,
  organizationName,
  roles = roleOptions,
  onRoleChange,
  onRemove,
  onLeave,
  describeError,
}: MembersTableProps) {
  const removalOf = (member: Member) => (member.locked ? undefined : member.isYou ? onLeave : onRemove);
  const acts = members.some(removalOf);
  return (
    <Table caption="Members">
      <THead>
        <TH>Member</TH>
        <TH>Role</TH>
        <TH num wide>
          Joined
        </TH>
        {acts ? (
          <TH num wide>
            <span className="sr-only">Remove</span>
          </TH>
        ) : null}
      </THead>
      <TBody>
        {members.map((member) => {
          const called = member.name ?? member.email;
          const remove = removalOf(member);
          const leaving =
            remove === undefined ? null : (
              <RemoveMember
                member={member}
                called={called}
                organizationName={organizationName}
                onRemove={() => remove(member.id)}
                describeError={describeError}
              />
            );
          return (
            <TR key={member.id} className="[&>*]:!align-middle">
              <TH scope="row">
                <span className="flex items-center gap-3">
                  <Avatar name={called} className="max-sm:hidden" />
                  <span className="min-w-0">
                    <span className="row-link">{called}</span> {member.isYou ? <Tag>You</Tag> : null}
                    {member.name ? <Sub>{member.email}</Sub> : null}
                  </span>
                </span>
              </TH>
              <TD>
                {onRoleChange && !member.locked ? (
                  <Select
                    aria-label={`Role of ${called}`}
                    value={member.role}
                    onChange={(event) => onRoleChange(member.id, event.target.value)}
                  >
                    {roles.map((role) => (
                      <option key={role.value} value={role.value}>
                        {role.label}
                      </option>
                    ))}
                  </Select>
                ) : (
                  <>
                    {roleWord(member.role, roles)}
                    {member.locked ? <Sub>{member.locked}</Sub> : null}
                  </>
                )}
                {leaving ? <span className="narrow-only mt-1">{leaving}</span> : null}
              </TD>
              <TD num wide className="text-ink-2">
                <LocalDate value={member.joinedAt} />
              </TD>
              {acts ? (
                <TD num wide>
                  {leaving}
                </TD>
              ) : null}
            </TR>
          );
        })}
      </TBody>
    </Table>
  );
}

function RemoveMember({
  member,
  called,
  organizationName,
  onRemove,
  describeError,
}: {
  member: Member;
  called: string;
  organizationName: string;
  onRemove: () => Promise<void> | void;
  describeError?: (error: unknown) => string;
}) {
  const you = member.isYou;
  return (
    <ConfirmDialog
      destructive
      trigger={
        <TextButton aria-label={you ? "Leave organization" : `Remove ${called}`}>{you ? "Leave" : "Remove"}</TextButton>
      }
      title={you ? `Leave ${organizationName}?` : `Remove ${called} from ${organizationName}?`}
      confirm={you ? "Leave organization" : "Remove member"}
      cancel={you ? "Stay" : "Keep member"}
      onConfirm={onRemove}
      describeError={describeError}
    >
      <p>
        {you ? "You lose" : "They lose"} access at once. What {you ? "you" : "they"} did stays in the ledger, and API
        keys {you ? "you" : "they"} created keep working until they are revoked.
      </p>
    </ConfirmDialog>
  );
}
