"use client";
// The bar of pages outside of an organization: the product, and the way in, or back to one's organization.
import Link from "next/link";
import { signOut } from "next-auth/react";
import { type Account, AccountMenu } from "~/components/billing/account-menu";
import { Brand } from "~/components/ui/brand";

export interface PublicHeaderProps {
  account?: Account | null;
  /** Where somebody who is signed in belongs. */
  organization?: { name: string; slug: string } | null;
  /** Absent on the sign-in page itself. */
  signInHref?: string | null;
}

export function PublicHeader({ account = null, organization = null, signInHref = "/signin" }: PublicHeaderProps) {
  return (
    <header className="border-b border-line bg-surface max-sm:pt-[env(safe-area-inset-top)]">
      <div className="wrap flex h-13 items-center gap-4 text-sm">
        <Brand />
        <div className="ml-auto flex min-w-0 items-center gap-4">
          {organization ? (
            <Link
              href={`/${organization.slug}/billing`}
              className="min-w-0 truncate font-medium pointer-coarse:leading-[2.75rem]"
            >
              Go to {organization.name}
            </Link>
          ) : null}
          {account ? (
            <AccountMenu account={account} onSignOut={() => signOut({ callbackUrl: "/" })} />
          ) : signInHref ? (
            <Link href={signInHref} className="inline-flex items-center font-medium pointer-coarse:min-h-11">
              Sign in
            </Link>
          ) : null}
        </div>
      </div>
    </header>
  );
}
