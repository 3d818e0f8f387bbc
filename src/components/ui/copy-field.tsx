"use client";
// A text to take along, with a button that copies it and says that it did.
import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { Button, type ButtonVariant } from "./button";
import { cn } from "./cn";

export interface CopyButtonProps {
  text: string;
  /** What is copied, for the accessible name: "Copy API key". */
  label?: string;
  variant?: ButtonVariant;
}

export function CopyButton({ text, label = "Copy", variant = "secondary" }: CopyButtonProps) {
  const [state, setState] = useState<"idle" | "copied" | "failed">("idle");

  useEffect(() => {
    if (state === "idle") return;
    const timer = setTimeout(() => setState("idle"), 2000);
    return () => clearTimeout(timer);
  }, [state]);

  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setState("copied");
    } catch {
      // Refused by the browser (no permission, no secure context): the text can still be selected by hand.
      setState("failed");
    }
  }

  const words = state === "copied" ? "Copied" : state === "failed" ? "Select it" : label;
  return (
    <Button variant={variant} onClick={copy}>
      {state === "copied" ? <Check aria-hidden /> : <Copy aria-hidden />}
      <span className="grid">
        {/* Both words lie in one cell, so the button keeps the width of the longer. */}
        <span aria-hidden className="invisible col-start-1 row-start-1">
          {label.length > 6 ? label : "Copied"}
        </span>
        <span aria-live="polite" className="col-start-1 row-start-1 text-left">
          {words}
        </span>
      </span>
    </Button>
  );
}

export interface CopyFieldProps {
  value: string;
  /** Names the text: "API key". */
  label: string;
  /** For long texts: the button stands below. */
  stacked?: boolean;
  className?: string;
}

export function CopyField({ value, label, stacked = false, className }: CopyFieldProps) {
  return (
    <div className={cn("flex flex-wrap gap-2", className)}>
      <input
        readOnly
        aria-label={label}
        value={value}
        onFocus={(event) => event.currentTarget.select()}
        className={cn(
          "min-h-(--control) min-w-0 rounded-2 border border-line-control bg-surface px-3 text-sm max-sm:min-h-11",
          stacked ? "basis-full" : "flex-[1_1_12rem]",
        )}
      />
      <CopyButton text={value} label="Copy" />
    </div>
  );
}
