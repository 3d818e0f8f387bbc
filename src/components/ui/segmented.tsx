"use client";
// A choice of two to four words where all are worth seeing: month or year, event or key. Radio buttons underneath.
import { type ReactNode, useId } from "react";
import { cn } from "./cn";

export interface SegmentedProps<Value extends string> {
  /** Read out before the options: "Billed", "Split by". */
  label: string;
  options: readonly { value: Value; label: ReactNode }[];
  value: Value;
  onChange: (value: Value) => void;
  disabled?: boolean;
  className?: string;
}

export function Segmented<Value extends string>({
  label,
  options,
  value,
  onChange,
  disabled,
  className,
}: SegmentedProps<Value>) {
  const name = useId();
  return (
    <fieldset
      disabled={disabled}
      className={cn(
        "inline-flex overflow-hidden rounded-2 border border-line-control bg-surface text-sm max-sm:flex",
        className,
      )}
    >
      <legend className="sr-only">{label}</legend>
      {options.map((option) => (
        <label
          key={option.value}
          className="relative inline-flex min-h-[calc(var(--control)-2px)] flex-auto items-center justify-center border-line px-3 text-center text-ink-2 not-first-of-type:border-l hover:text-ink has-checked:bg-accent-tint has-checked:font-medium has-checked:text-ink has-focus-visible:outline-2 has-focus-visible:-outline-offset-2 has-focus-visible:outline-accent max-sm:min-h-[2.625rem]"
        >
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
            className="absolute inset-0 m-0 cursor-pointer opacity-0"
          />
          {option.label}
        </label>
      ))}
    </fieldset>
  );
}
