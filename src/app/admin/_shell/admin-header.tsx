"use client";
// The header of the platform's pages.
import { signOut } from "next-auth/react";
import type { Account } from "~/components/billing/account-menu";
import { AppHeader } from "~/components/billing/app-header";
import type { OrganizationLink } from "~/components/billing/organization-switcher";

const TABS = [
  { href: "/admin/webhooks", label: "Webhooks" },
  { href: "/admin/reconciliation", label: "Reconciliation" },
];

export interface AdminHeaderProps {
  organizations: readonly OrganizationLink[];
  account: Account;
}

export function AdminHeader({ organizations, account }: AdminHeaderProps) {
  return (
    <AppHeader
      homeHref="/admin"
      switcher={{
        current: { id: "platform", name: "Platform" },
        organizations,
        platformHref: "/admin",
        createHref: "/new",
      }}
      tabs={TABS}
      tabsLabel="Platform"
      account={account}
      onSignOut={() => signOut({ callbackUrl: "/" })}
    />
  );
}
