// What needs somebody, first on the page: what, by when, what to do. Absent when there is nothing.
import type { ReactNode } from "react";
import { cn } from "./cn";

export interface AttentionItem {
  id: string;
  /** warn: soon. danger: now. */
  level: "warn" | "danger";
  /** What, in a few words; ends with its own punctuation. */
  title: ReactNode;
  /** By when, or what follows from it. */
  text?: ReactNode;
  /** What to do: a link or a TextButton. */
  action?: ReactNode;
  /** What came of doing it: stands below. */
  more?: ReactNode;
}

export function Attention({ items, label = "Needs attention" }: { items: readonly AttentionItem[]; label?: string }) {
  if (items.length === 0) return null;
  return (
    <section aria-label={label} className="mb-6 grid gap-2">
      <AttentionLevel items={items.filter((item) => item.level === "danger")} level="danger" />
      <AttentionLevel items={items.filter((item) => item.level === "warn")} level="warn" />
    </section>
  );
}

function AttentionLevel({ items, level }: { items: readonly AttentionItem[]; level: AttentionItem["level"] }) {
  if (items.length === 0) return null;
  return (
    <ul
      className={cn(
        "divide-y rounded-3 border",
        level === "danger"
          ? "divide-danger-line border-danger-line bg-danger-tint"
          : "divide-warn-line border-warn-line bg-warn-tint",
      )}
    >
      {items.map((item) => (
        <li
          key={item.id}
          className="flex flex-wrap items-baseline justify-between gap-x-4 gap-y-1 px-4 py-2 max-sm:py-3 [&_a]:font-medium [&_a]:text-ink [&_a]:underline [&_button]:font-medium [&_button]:text-ink [&_button]:underline"
        >
          <span>
            {level === "danger" ? <span className="sr-only">Now: </span> : null}
            <strong>{item.title}</strong> {item.text}
          </span>
          {item.action ? <span className="whitespace-nowrap">{item.action}</span> : null}
          {item.more ? <div className="basis-full">{item.more}</div> : null}
        </li>
      ))}
    </ul>
  );
}
