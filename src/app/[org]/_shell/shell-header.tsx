"use client";
// The header of an organization's pages, with what needs the browser: signing out.
import { signOut } from "next-auth/react";
import type { Account } from "~/components/billing/account-menu";
import { AppHeader, billingTabs } from "~/components/billing/app-header";
import type { OrganizationLink } from "~/components/billing/organization-switcher";

export interface ShellHeaderProps {
  organization: { id: string; name: string; slug: string };
  organizations: readonly OrganizationLink[];
  account: Account;
  /** Absent for whoever does not administer the platform. */
  platformHref?: string | undefined;
}

export function ShellHeader({ organization, organizations, account, platformHref }: ShellHeaderProps) {
  const base = `/${organization.slug}/billing`;
  return (
    <AppHeader
      homeHref={base}
      switcher={{ current: organization, organizations, createHref: "/new", ...(platformHref ? { platformHref } : {}) }}
      tabs={billingTabs(base)}
      account={account}
      onSignOut={() => signOut({ callbackUrl: "/" })}
    />
  );
}
