"use client";
// Places in an organization: tabs under the bar, and at the thumb on phones, in words.
import Link from "next/link";
import { usePathname } from "next/navigation";

export interface TabItem {
  href: string;
  label: string;
  /** Marked only on its own page, not on pages below it. */
  exact?: boolean;
}

export interface TabsNavProps {
  /** "Billing", "Platform" */
  label: string;
  items: readonly TabItem[];
}

export function TabsNav({ label, items }: TabsNavProps) {
  const path = usePathname();
  return (
    <nav
      aria-label={label}
      className="tabs-bottom wrap max-sm:fixed max-sm:inset-x-0 max-sm:bottom-0 max-sm:z-30 max-sm:overflow-x-auto max-sm:border-t max-sm:border-line-strong max-sm:bg-surface max-sm:!px-1 max-sm:pb-[env(safe-area-inset-bottom)]"
    >
      <ul className="flex gap-6 max-sm:justify-between max-sm:gap-0">
        {items.map((item) => {
          const here = path === item.href || (!item.exact && path.startsWith(`${item.href}/`));
          return (
            <li key={item.href} className="max-sm:flex-auto">
              <Link
                href={item.href}
                aria-current={here ? "page" : undefined}
                className="block whitespace-nowrap border-b-2 border-transparent pt-2 pb-2.5 text-ink-2 hover:text-ink hover:no-underline focus-visible:-outline-offset-2 aria-[current]:border-accent aria-[current]:font-medium aria-[current]:text-ink max-sm:border-t-2 max-sm:border-b-0 max-sm:px-1 max-sm:py-0 max-sm:text-center max-sm:text-xs max-sm:leading-[3.25rem]"
              >
                {item.label}
              </Link>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}
