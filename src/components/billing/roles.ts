// The roles a person may have in an organization, as words.

export interface RoleOption {
  value: string;
  label: string;
  /** What it may do, in a line. */
  hint?: string;
}

export const roleOptions: readonly RoleOption[] = [
  { value: "owner", label: "Owner", hint: "Everything, and who the other owners are" },
  { value: "admin", label: "Admin", hint: "Plans, payments, members and keys" },
  { value: "billing", label: "Billing", hint: "Plans, payments and invoices" },
  { value: "member", label: "Member", hint: "Sees balance, usage and history" },
];

export function roleWord(role: string, roles: readonly RoleOption[] = roleOptions): string {
  const known = roles.find((option) => option.value === role.toLowerCase());
  return known?.label ?? role.charAt(0).toUpperCase() + role.slice(1).toLowerCase();
}
