"use client";
// What to say when something a person asked for did not work, and what to do about it.
import { toastError } from "~/components/ui/toast";
import { failureOf } from "../../_trpc/react";

const SENTENCES: Record<string, { title: string; description: string }> = {
  STRIPE_UNAVAILABLE: {
    title: "Stripe does not answer at the moment",
    description: "Nothing was changed or charged. Try again in a minute.",
  },
  BUSY: {
    title: "Another change is under way",
    description: "Nothing was changed. Try again in a few seconds.",
  },
  NO_BILLING_ACCOUNT: {
    title: "There is nothing to manage yet",
    description: "Choose a plan or buy credits first; cards and invoices are kept from then on.",
  },
  FORBIDDEN: {
    title: "Your role does not allow this",
    description: "Ask an owner or admin of the organization.",
  },
  UNAUTHENTICATED: {
    title: "You are signed out",
    description: "Sign in again; nothing was changed.",
  },
  PRODUCT_NOT_AVAILABLE: {
    title: "This pack is no longer sold",
    description: "Nothing was charged. Reload the page to see what is for sale.",
  },
};

/** The news of a failure as a toast. @param fallback what did not work: "The portal could not be opened" */
export function sayFailure(error: unknown, fallback: string): void {
  const code = failureOf(error)?.code;
  const known = code ? SENTENCES[code] : undefined;
  if (known) toastError(known.title, { description: known.description });
  else toastError(fallback, { description: "Nothing was changed. Try again in a moment." });
}
