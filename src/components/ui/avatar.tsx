// A person as initials. The name itself is said beside it or by the control around it.
import { cn } from "./cn";

/** "Maya Okafor" → "MO", "ada@example.com" → "A". */
export function initialsOf(name: string): string {
  const words = (name.split("@")[0] ?? "").split(/[\s._-]+/).filter(Boolean);
  const first = words[0]?.[0] ?? "?";
  const last = words.length > 1 ? (words.at(-1)?.[0] ?? "") : "";
  return (first + last).toUpperCase();
}

export function Avatar({ name, className }: { name: string; className?: string }) {
  return (
    <span
      aria-hidden
      // Drawn by the style sheet: initials are no part of the name of the control around them.
      data-initials={initialsOf(name)}
      className={cn(
        "inline-grid size-7 flex-none place-items-center rounded-full border border-line-strong bg-sunken text-[0.6875rem] leading-none font-strong text-ink before:content-[attr(data-initials)] max-sm:size-9",
        className,
      )}
    />
  );
}
