"use client";
// The bar of every page: the product, the organization, the person; and the places below. No sidebar: tables get the width.
import Link from "next/link";
import type { ReactNode } from "react";
import { Brand, Breadcrumb } from "../ui/brand";
import { type TabItem, TabsNav } from "../ui/tabs-nav";
import { type Account, AccountMenu } from "./account-menu";
import { OrganizationSwitcher, type OrganizationSwitcherProps } from "./organization-switcher";

export interface AppHeaderProps {
  homeHref?: string;
  /** Absent on pages outside of an organization. */
  switcher?: OrganizationSwitcherProps;
  tabs?: readonly TabItem[];
  /** Names the tabs: "Billing", "Platform". */
  tabsLabel?: string;
  /** Absent: nobody is signed in; a link to sign in stands there. */
  account?: Account | null;
  onSignOut?: () => void;
  signInHref?: string;
  /** Quiet links before the account: "Docs". */
  links?: ReactNode;
}

export function AppHeader({
  homeHref = "/",
  switcher,
  tabs,
  tabsLabel = "Billing",
  account,
  onSignOut,
  signInHref = "/sign-in",
  links,
}: AppHeaderProps) {
  return (
    <header className="border-b border-line bg-surface print:hidden max-sm:sticky max-sm:top-0 max-sm:z-30 max-sm:pt-[env(safe-area-inset-top)]">
      <div className="wrap flex h-13 items-center gap-2">
        <Breadcrumb>
          <Brand href={homeHref} compact={Boolean(switcher)} />
          {switcher ? <OrganizationSwitcher {...switcher} /> : null}
        </Breadcrumb>
        <div className="ml-auto flex flex-none items-center gap-4 text-sm">
          {links ? <div className="flex items-center gap-4 max-sm:hidden [&_a]:text-ink-2">{links}</div> : null}
          {account ? (
            <AccountMenu account={account} onSignOut={() => onSignOut?.()} />
          ) : (
            <Link href={signInHref} className="inline-flex items-center font-medium pointer-coarse:min-h-11">
              Sign in
            </Link>
          )}
        </div>
      </div>
      {tabs && tabs.length > 0 ? <TabsNav label={tabsLabel} items={tabs} /> : null}
    </header>
  );
}

/** The places of an organization under its address; what a role may not do is not offered. */
export function billingTabs(base: string, { settings = true }: { settings?: boolean } = {}): TabItem[] {
  return [
    { href: base, label: "Overview", exact: true },
    { href: `${base}/plans`, label: "Plans" },
    { href: `${base}/credits`, label: "Credits" },
    { href: `${base}/usage`, label: "Usage" },
    { href: `${base}/history`, label: "History" },
    ...(settings ? [{ href: `${base}/settings`, label: "Settings" }] : []),
  ];
}
