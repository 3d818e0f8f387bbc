// The frame of an organization's pages: header, switcher, tabs. Whoever may not see the organization gets no frame; the
// pages themselves send them to sign in, or say that there is nothing to see.
import type { Metadata } from "next";
import type { ReactNode } from "react";
import { caller } from "../_trpc/server";
import { findMembership } from "./_shell/membership";
import { ShellHeader } from "./_shell/shell-header";

interface OrganizationLayoutProps {
  children: ReactNode;
  params: Promise<{ org: string }>;
}

export async function generateMetadata({ params }: OrganizationLayoutProps): Promise<Metadata> {
  const membership = await findMembership((await params).org);
  if (!membership) return {};
  const { name } = membership.organization;
  return { title: { default: `${name} · Billfold`, template: `%s · ${name} · Billfold` } };
}

export default async function OrganizationLayout({ children, params }: OrganizationLayoutProps) {
  const membership = await findMembership((await params).org);
  if (!membership) return children;
  const { person, organization } = membership;
  const organizations = await (await caller()).organizations.list();
  return (
    <>
      <ShellHeader
        organization={{ id: organization.id, name: organization.name, slug: organization.slug }}
        organizations={organizations.map(({ id, name, slug }) => ({ id, name, href: `/${slug}/billing` }))}
        account={{ name: person.name, email: person.email }}
        platformHref={person.isPlatformAdmin ? "/admin" : undefined}
      />
      {children}
    </>
  );
}
