// A button says what will happen. One primary on a page; while it works it keeps its width, its focus and its name.
import { Slot } from "radix-ui";
import type { ComponentProps } from "react";
import { cn } from "./cn";

export type ButtonVariant = "primary" | "secondary" | "quiet" | "link" | "danger";

const looks: Record<ButtonVariant, string> = {
  primary: "border-accent bg-accent text-on-accent hover:bg-accent-hover hover:border-accent-hover",
  secondary: "border-line-control bg-surface text-ink hover:bg-sunken",
  quiet: "border-transparent bg-transparent text-ink-2 hover:bg-sunken hover:text-ink",
  link: "border-transparent bg-transparent text-accent font-normal! hover:bg-sunken",
  danger: "border-danger bg-danger text-on-danger hover:bg-danger-hover hover:border-danger-hover",
};

const shape =
  "relative inline-flex min-h-(--control) items-center max-sm:min-h-11 justify-center gap-2 whitespace-nowrap rounded-2 border px-3 text-sm font-medium no-underline transition-colors duration-(--fast) hover:no-underline [&_svg]:size-4 [&_svg]:flex-none";

/** Class names of a button, for links that look like one. */
export function buttonClass(variant: ButtonVariant = "secondary", wide = false): string {
  return cn(shape, looks[variant], wide && "w-full");
}

export interface ButtonProps extends ComponentProps<"button"> {
  variant?: ButtonVariant;
  /** Takes the whole width of where it stands. */
  wide?: boolean;
  /** Work is under way: presses are ignored, the width does not change. */
  loading?: boolean;
  /** Renders its only child (a link, a trigger) with the look of a button. */
  asChild?: boolean;
}

export function Button({
  variant = "secondary",
  wide = false,
  loading = false,
  asChild = false,
  className,
  children,
  onClick,
  type = "button",
  ...rest
}: ButtonProps) {
  if (asChild) {
    return (
      <Slot.Root className={cn(buttonClass(variant, wide), className)} onClick={onClick} {...rest}>
        {children}
      </Slot.Root>
    );
  }
  return (
    <button
      // aria-disabled instead of disabled while loading: a disabled button would drop the focus. It stays the form's submit
      // button: without one, Enter in a form's only field submits past it; so it clicks here, and is stopped.
      type={type}
      aria-disabled={loading || undefined}
      aria-busy={loading || undefined}
      onClick={loading ? (event) => event.preventDefault() : onClick}
      className={cn(
        buttonClass(variant, wide),
        "disabled:cursor-default disabled:border-line disabled:bg-transparent disabled:text-ink-3",
        loading && "cursor-progress",
        className,
      )}
      {...rest}
    >
      <span className={cn("inline-flex items-center gap-2", loading && "opacity-0")}>{children}</span>
      {loading ? (
        <span aria-hidden className="absolute inset-0 grid place-items-center">
          <span className="size-4 animate-spin rounded-full border-2 border-current border-r-transparent motion-reduce:animate-none motion-reduce:border-dotted" />
        </span>
      ) : null}
    </button>
  );
}
