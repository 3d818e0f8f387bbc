// The mark: a note, and the edges of those behind it.
import { cn } from "./cn";

export function Logo({ className }: { className?: string }) {
  return (
    <svg
      width="21"
      height="16"
      viewBox="0 0 21 16"
      aria-hidden="true"
      className={cn("flex-none text-accent", className)}
    >
      <path fill="currentColor" d="M2 0h9v16H2a2 2 0 0 1-2-2V2a2 2 0 0 1 2-2Z" />
      <path stroke="currentColor" strokeWidth="1.5" d="M13.5 0v16M16.75 0v16M20 .5v15" />
    </svg>
  );
}
