"use client";
// Several lines of text. Inside a Field it is labelled by it.
import type { ComponentProps } from "react";
import { cn } from "./cn";
import { useFieldProps } from "./field";
import { controlClass } from "./input";

export function Textarea({ className, rows = 4, ...rest }: ComponentProps<"textarea">) {
  return <textarea {...rest} {...useFieldProps(rest)} rows={rows} className={cn(controlClass, "py-2", className)} />;
}
