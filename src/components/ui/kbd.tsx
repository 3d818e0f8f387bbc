// A key of the keyboard.
import type { ComponentProps } from "react";
import { cn } from "./cn";

export function Kbd({ className, ...rest }: ComponentProps<"kbd">) {
  return (
    <kbd
      className={cn("rounded-1 border border-line px-1 font-sans text-xs leading-4 text-ink-3", className)}
      {...rest}
    />
  );
}
