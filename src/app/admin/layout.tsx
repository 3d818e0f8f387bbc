// The frame of the platform's pages, for its admins. Whoever is none gets no frame, and the pages say that there is nothing.
import type { Metadata } from "next";
import type { ReactNode } from "react";
import { currentPerson } from "~/server/auth/current-person";
import { caller } from "../_trpc/server";
import { AdminHeader } from "./_shell/admin-header";

export const metadata: Metadata = { title: { default: "Platform · Billfold", template: "%s · Platform · Billfold" } };

export default async function AdminLayout({ children }: { children: ReactNode }) {
  const person = await currentPerson();
  if (!person?.isPlatformAdmin) return children;
  const organizations = await (await caller()).organizations.list();
  return (
    <>
      <AdminHeader
        organizations={organizations.map(({ id, name, slug }) => ({ id, name, href: `/${slug}/billing` }))}
        account={{ name: person.name, email: person.email }}
      />
      {children}
    </>
  );
}
