"use client";
// A choice of a few things that each need a sentence: radio buttons, one under the other.
import type { ReactNode } from "react";

export interface OptionListProps<Value extends string> {
  /** Read out before the options. */
  label: string;
  name: string;
  options: readonly { value: Value; label: string; text?: ReactNode }[];
  value: Value;
  onChange: (value: Value) => void;
}

export function OptionList<Value extends string>({ label, name, options, value, onChange }: OptionListProps<Value>) {
  return (
    <fieldset className="divide-y divide-line rounded-2 border border-line-control">
      <legend className="sr-only">{label}</legend>
      {options.map((option) => (
        <label
          key={option.value}
          className="relative grid cursor-pointer grid-cols-[auto_1fr] gap-x-3 px-3 py-3 has-checked:bg-accent-tint has-focus-visible:outline-2 has-focus-visible:-outline-offset-2 has-focus-visible:outline-accent"
        >
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
            aria-describedby={option.text ? `${name}-${option.value}` : undefined}
            className="mt-0.5 size-4 accent-(--accent)"
          />
          <span className="font-medium text-ink">{option.label}</span>
          {option.text ? (
            <span id={`${name}-${option.value}`} className="col-start-2 text-xs text-ink-2">
              {option.text}
            </span>
          ) : null}
        </label>
      ))}
    </fieldset>
  );
}
