"use client";
// Which organization one is in, and the way to another.
import { Check, ChevronsUpDown, Plus } from "lucide-react";
import Link from "next/link";
import { Menu, MenuContent, MenuItem, MenuLabel, MenuSeparator, MenuTrigger } from "../ui/menu";

export interface OrganizationLink {
  id: string;
  name: string;
  href: string;
  /** "Pro", "Trial": a quiet word beside the name. */
  note?: string;
}

export interface OrganizationSwitcherProps {
  /** What stands in the bar: an organization, or "Platform". */
  current: { id: string; name: string };
  organizations: readonly OrganizationLink[];
  /** Where the platform's own pages are; only for its admins. */
  platformHref?: string;
  createHref?: string;
}

export function OrganizationSwitcher({ current, organizations, platformHref, createHref }: OrganizationSwitcherProps) {
  return (
    <Menu>
      <MenuTrigger
        aria-label={`${current.name}, switch organization`}
        className="inline-flex min-h-8 min-w-0 items-center gap-2 rounded-2 px-2 font-medium hover:bg-sunken data-[state=open]:bg-sunken max-sm:min-h-11"
      >
        <span className="truncate">{current.name}</span>
        <ChevronsUpDown aria-hidden className="size-3.5 flex-none text-ink-3" />
      </MenuTrigger>
      <MenuContent className="min-w-60">
        <MenuLabel>Organizations</MenuLabel>
        {organizations.map((organization) => (
          <MenuItem key={organization.id} asChild>
            <Link href={organization.href} aria-current={organization.id === current.id ? "true" : undefined}>
              <span className="min-w-0 flex-1 truncate">
                {organization.name}
                {organization.note ? <span className="text-ink-3"> {organization.note}</span> : null}
              </span>
              {organization.id === current.id ? <Check aria-hidden /> : null}
            </Link>
          </MenuItem>
        ))}
        {platformHref || createHref ? <MenuSeparator /> : null}
        {platformHref ? (
          <MenuItem asChild>
            <Link href={platformHref}>Platform</Link>
          </MenuItem>
        ) : null}
        {createHref ? (
          <MenuItem asChild>
            <Link href={createHref}>
              <Plus aria-hidden />
              Create organization
            </Link>
          </MenuItem>
        ) : null}
      </MenuContent>
    </Menu>
  );
}
