"use client";
// The browser's own select, dressed: phones bring their wheel, keyboards their letters.
import type { ComponentProps } from "react";
import { cn } from "./cn";
import { useFieldProps } from "./field";
import { controlClass } from "./input";

const chevron =
  "bg-[url('data:image/svg+xml,%3Csvg%20xmlns=%22http://www.w3.org/2000/svg%22%20width=%2210%22%20height=%226%22%20fill=%22none%22%20stroke=%22%23808a86%22%20stroke-width=%221.5%22%3E%3Cpath%20d=%22m1%201%204%204%204-4%22/%3E%3C/svg%3E')] bg-[position:right_0.75rem_center] bg-no-repeat";

export function Select({ className, ...rest }: ComponentProps<"select">) {
  return (
    <select
      {...rest}
      {...useFieldProps(rest)}
      className={cn(controlClass, "appearance-none truncate pr-8", chevron, className)}
    />
  );
}
