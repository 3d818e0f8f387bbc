"use client";
// Short news of what was done or failed. Done has no colour; a failure stays until it is read.
import { toast } from "sonner";

export interface ToastOptions {
  description?: string;
  action?: { label: string; onClick: () => void };
}

export function toastDone(message: string, options: ToastOptions = {}): void {
  toast(message, options);
}

export function toastError(message: string, options: ToastOptions = {}): void {
  toast.error(message, { duration: 10_000, closeButton: true, ...options });
}
