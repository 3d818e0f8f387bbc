"use client";
// One line of text. Inside a Field it is labelled by it.
import type { ComponentProps } from "react";
import { cn } from "./cn";
import { useFieldProps } from "./field";

export const controlClass =
  "min-h-(--control) min-w-0 rounded-2 border border-line-control bg-surface px-3 text-sm text-ink placeholder:text-ink-3 placeholder:opacity-100 disabled:border-line disabled:bg-sunken disabled:text-ink-3 aria-invalid:border-danger max-sm:min-h-11 max-sm:text-md";

export function Input({ className, ...rest }: ComponentProps<"input">) {
  return <input {...rest} {...useFieldProps(rest)} className={cn(controlClass, className)} />;
}
