"use client";
// Detail of a row. Beside the page when there is room (and the page stays alive), over it when there is not,
// the whole screen on phones. Open and close belong to the caller, so that an address can open it.
import { Dialog } from "radix-ui";
import { type ReactNode, useRef } from "react";
import { cn } from "./cn";
import { Kbd } from "./kbd";
import { useMediaQuery } from "./use-media-query";

export interface DrawerProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  /** Names the drawer, at its top: "Transaction txn_9Kd2mVx4". */
  title: ReactNode;
  children: ReactNode;
}

export function Drawer({ open, onOpenChange, title, children }: DrawerProps) {
  const beside = useMediaQuery("(min-width: 80rem)", true);
  const cameFrom = useRef<HTMLElement | null>(null);
  return (
    <>
      {open ? <span hidden data-drawer-open="" /> : null}
      <Dialog.Root open={open} onOpenChange={onOpenChange} modal={!beside}>
        <Dialog.Portal>
          {beside ? null : <Dialog.Overlay className="fixed inset-0 z-40 bg-scrim float-in max-sm:hidden" />}
          <Dialog.Content
            aria-describedby={undefined}
            onOpenAutoFocus={(event) => {
              event.preventDefault();
              cameFrom.current = document.activeElement instanceof HTMLElement ? document.activeElement : null;
              if (event.target instanceof HTMLElement) event.target.focus({ preventScroll: true });
            }}
            onCloseAutoFocus={(event) => {
              event.preventDefault();
              // Whoever already moved on to another row keeps the focus there.
              if (document.activeElement === document.body) cameFrom.current?.focus({ preventScroll: true });
            }}
            onInteractOutside={(event) => {
              if (beside) event.preventDefault();
            }}
            className="slide-in fixed inset-y-0 right-0 z-50 w-[min(100vw,var(--drawer))] overflow-y-auto overscroll-contain border-line-strong bg-raised shadow-drawer outline-none max-sm:w-screen sm:border-l"
          >
            <div className="sticky top-0 z-2 flex min-h-13 items-center justify-between gap-4 border-b border-line bg-raised px-6 py-3 text-sm max-sm:px-4">
              <Dialog.Title className="truncate text-sm font-normal text-ink-3">{title}</Dialog.Title>
              <Dialog.Close className="flex flex-none items-center gap-2 text-accent hover:underline pointer-coarse:-my-2 pointer-coarse:min-h-11">
                Close
                <Kbd className="pointer-coarse:hidden" aria-hidden>
                  Esc
                </Kbd>
              </Dialog.Close>
            </div>
            {children}
          </Dialog.Content>
        </Dialog.Portal>
      </Dialog.Root>
    </>
  );
}

/** A part of the drawer, under a hairline; its title names the region. */
export function DrawerSection({
  title,
  className,
  children,
}: {
  title?: string;
  className?: string;
  children: ReactNode;
}) {
  return (
    <section aria-label={title} className={cn("border-line px-6 py-5 not-last:border-b max-sm:px-4", className)}>
      {title ? <h3 className="mb-3">{title}</h3> : null}
      {children}
    </section>
  );
}
