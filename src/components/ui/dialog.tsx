"use client";
// A question or a short form that has to be answered before going on. On phones it stands at the bottom edge.
import { X } from "lucide-react";
import { Dialog as RadixDialog } from "radix-ui";
import type { ReactNode } from "react";
import { Button } from "./button";

export const scrimClass = "fixed inset-0 z-40 bg-scrim float-in";
export const sheetClass =
  "fixed z-50 grid max-h-[min(90dvh,48rem)] grid-rows-[auto_minmax(0,1fr)_auto] border-line-strong bg-raised shadow-menu outline-none float-in max-sm:inset-x-0 max-sm:bottom-0 max-sm:rounded-t-3 max-sm:border-t max-sm:pb-[env(safe-area-inset-bottom)] sm:top-[12vh] sm:left-1/2 sm:w-[min(30rem,calc(100vw-3rem))] sm:-translate-x-1/2 sm:rounded-3 sm:border";

export interface DialogProps {
  /** Controlled when given; otherwise `trigger` opens it. */
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
  trigger?: ReactNode;
  title: string;
  description?: ReactNode;
  children?: ReactNode;
  /** Buttons, the one that does it last. */
  footer?: ReactNode;
}

export function Dialog({ open, onOpenChange, trigger, title, description, children, footer }: DialogProps) {
  return (
    <RadixDialog.Root open={open} onOpenChange={onOpenChange}>
      {trigger ? <RadixDialog.Trigger asChild>{trigger}</RadixDialog.Trigger> : null}
      <RadixDialog.Portal>
        <RadixDialog.Overlay className={scrimClass} />
        <RadixDialog.Content className={sheetClass} {...(description ? {} : { "aria-describedby": undefined })}>
          <div className="flex items-start justify-between gap-4 px-5 pt-4 pb-1 max-sm:px-4">
            <RadixDialog.Title className="text-md">{title}</RadixDialog.Title>
            <RadixDialog.Close className="-m-2 grid size-9 place-items-center text-ink-3 hover:text-ink pointer-coarse:size-11">
              <X aria-hidden className="size-4" />
              <span className="sr-only">Close</span>
            </RadixDialog.Close>
          </div>
          <div className="overflow-y-auto px-5 pb-5 max-sm:px-4">
            {description ? (
              <RadixDialog.Description className="text-sm text-ink-2">{description}</RadixDialog.Description>
            ) : null}
            {children ? <div className="mt-4">{children}</div> : null}
          </div>
          {footer ? <DialogFooter>{footer}</DialogFooter> : null}
        </RadixDialog.Content>
      </RadixDialog.Portal>
    </RadixDialog.Root>
  );
}

export function DialogFooter({ children }: { children: ReactNode }) {
  return (
    <div className="flex flex-wrap justify-end gap-2 border-t border-line px-5 py-3 max-sm:px-4 max-sm:[&>*]:flex-1">
      {children}
    </div>
  );
}

/** The buttons of a dialog that is a form: one goes back, the other sends the form. */
export function FormButtons({
  formId,
  submit,
  busy,
  onCancel,
}: {
  formId: string;
  /** What sending it does: "Create key". */
  submit: string;
  busy: boolean;
  onCancel: () => void;
}) {
  return (
    <>
      <Button onClick={onCancel}>Cancel</Button>
      <Button type="submit" form={formId} variant="primary" loading={busy}>
        {submit}
      </Button>
    </>
  );
}

/** Closes the dialog it stands in. */
export const DialogClose = RadixDialog.Close;
