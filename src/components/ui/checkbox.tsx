"use client";
// A box to tick, with its words beside it as part of the target.
import { type ComponentProps, type ReactNode, useId } from "react";
import { cn } from "./cn";

export interface CheckboxProps extends Omit<ComponentProps<"input">, "type"> {
  label: ReactNode;
  hint?: ReactNode;
  hideLabel?: boolean;
}

export function Checkbox({ label, hint, hideLabel, className, id, ...rest }: CheckboxProps) {
  const ownId = useId();
  const inputId = id ?? ownId;
  return (
    <div className={cn("flex items-start gap-2 pointer-coarse:py-2.5", className)}>
      <input
        {...rest}
        id={inputId}
        type="checkbox"
        aria-describedby={hint ? `${inputId}-hint` : undefined}
        className="mt-[3px] size-4 flex-none accent-accent disabled:cursor-default"
      />
      <div className={hideLabel ? "sr-only" : undefined}>
        <label htmlFor={inputId} className="text-sm">
          {label}
        </label>
        {hint ? (
          <p id={`${inputId}-hint`} className="text-xs text-ink-3">
            {hint}
          </p>
        ) : null}
      </div>
    </div>
  );
}
