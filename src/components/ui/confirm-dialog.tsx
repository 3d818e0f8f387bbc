"use client";
// Asks before something that cannot simply be undone, and says what will happen.
import { AlertDialog } from "radix-ui";
import { type ReactNode, useState } from "react";
import { Button } from "./button";
import { DialogFooter, scrimClass, sheetClass } from "./dialog";
import { keepFocus } from "./keep-focus";

export interface ConfirmDialogProps {
  open?: boolean;
  onOpenChange?: (open: boolean) => void;
  trigger?: ReactNode;
  title: string;
  /** What will happen, to whom, and when. */
  children: ReactNode;
  /** The deed in words: "Revoke key", "Remove Ada Byron". */
  confirm: string;
  cancel?: string;
  destructive?: boolean;
  /** The dialog stays open and busy until this settles; when it throws, `error` says why. */
  onConfirm: () => void | Promise<void>;
  /** Turns what was thrown into a sentence. */
  describeError?: (error: unknown) => string;
}

export function ConfirmDialog({
  open,
  onOpenChange,
  trigger,
  title,
  children,
  confirm,
  cancel = "Keep it",
  destructive = false,
  onConfirm,
  describeError = () => "That did not work. Nothing was changed; try again.",
}: ConfirmDialogProps) {
  const [ownOpen, setOwnOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const isOpen = open ?? ownOpen;
  const setOpen = (next: boolean) => {
    setError(null);
    setOwnOpen(next);
    onOpenChange?.(next);
  };

  async function act() {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      setOpen(false);
    } catch (thrown) {
      setError(describeError(thrown));
    } finally {
      setBusy(false);
    }
  }

  return (
    <AlertDialog.Root open={isOpen} onOpenChange={(next) => (busy ? undefined : setOpen(next))}>
      {trigger ? <AlertDialog.Trigger asChild>{trigger}</AlertDialog.Trigger> : null}
      <AlertDialog.Portal>
        <AlertDialog.Overlay className={scrimClass} />
        <AlertDialog.Content className={sheetClass} onCloseAutoFocus={keepFocus}>
          <AlertDialog.Title className="px-5 pt-4 pb-1 text-md max-sm:px-4">{title}</AlertDialog.Title>
          <div className="overflow-y-auto px-5 pb-5 max-sm:px-4">
            <AlertDialog.Description asChild>
              <div className="grid gap-2 text-sm text-ink-2">{children}</div>
            </AlertDialog.Description>
            {error ? (
              <p role="alert" className="mt-3 text-sm font-medium text-danger">
                {error}
              </p>
            ) : null}
          </div>
          <DialogFooter>
            <AlertDialog.Cancel asChild>
              <Button disabled={busy}>{cancel}</Button>
            </AlertDialog.Cancel>
            <Button variant={destructive ? "danger" : "primary"} loading={busy} onClick={act}>
              {confirm}
            </Button>
          </DialogFooter>
        </AlertDialog.Content>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
