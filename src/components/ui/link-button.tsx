// A link that looks like a button, and a button that looks like a link.
import Link from "next/link";
import type { ComponentProps } from "react";
import { type ButtonVariant, buttonClass } from "./button";
import { cn } from "./cn";

export interface LinkButtonProps extends ComponentProps<typeof Link> {
  variant?: ButtonVariant;
  wide?: boolean;
}

/** Goes somewhere, with the weight of a button. */
export function LinkButton({ variant = "secondary", wide = false, className, ...rest }: LinkButtonProps) {
  return <Link className={cn(buttonClass(variant, wide), className)} {...rest} />;
}

/** Does something small inside a line of text or a table. */
export function TextButton({ className, type = "button", ...rest }: ComponentProps<"button">) {
  return (
    <button
      type={type}
      className={cn(
        "text-accent underline-offset-[0.2em] hover:underline disabled:cursor-default disabled:text-ink-3 disabled:no-underline pointer-coarse:py-2",
        className,
      )}
      {...rest}
    />
  );
}
