// The name of the product with its mark, and the trail of where one is: Billfold / Northwind Robotics.
import Link from "next/link";
import { Children, type ReactNode } from "react";
import { cn } from "./cn";
import { Logo } from "./logo";

export interface BrandProps {
  href?: string;
  name?: string;
  /** On phones only the mark is shown, to leave room for what follows. */
  compact?: boolean;
}

export function Brand({ href = "/", name = "Billfold", compact = false }: BrandProps) {
  return (
    <Link
      href={href}
      className="inline-flex min-h-8 items-center gap-2 font-strong tracking-[-0.01em] text-ink hover:no-underline pointer-coarse:min-h-11"
    >
      <Logo />
      <span className={cn(compact && "max-sm:sr-only")}>{name}</span>
    </Link>
  );
}

/** Parts from the widest to the narrowest, with slashes between. */
export function Breadcrumb({ children }: { children: ReactNode }) {
  return (
    <div className="flex min-w-0 items-center gap-2">
      {Children.toArray(children).map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the trail's order is its identity
        <span key={index} className="flex min-w-0 items-center gap-2 first:flex-none">
          {index > 0 ? (
            <span aria-hidden className="px-1 text-line-strong">
              /
            </span>
          ) : null}
          {part}
        </span>
      ))}
    </div>
  );
}
