"use client";
// Failures in words, for whoever pressed the button: what went wrong, and what to do about it.
import { TRPCClientError } from "@trpc/client";
import { toastError } from "~/components/ui/toast";
import type { BillingFailure } from "~/server/api/errors";
import { failureOf } from "./react";

interface Words {
  title: string;
  description: string;
}

const WORDS: Partial<Record<BillingFailure["code"], Words>> = {
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
    description: "Sign in again, then repeat this.",
  },
  PRODUCT_NOT_AVAILABLE: {
    title: "This pack is no longer sold",
    description: "Nothing was charged. Reload the page to see what is for sale.",
  },
  INTERNAL: {
    title: "Something went wrong on our side",
    description: "Try again in a moment.",
  },
};

/** A failure as a sentence beside a form. */
export function failureWords(error: unknown): string {
  const failure = failureOf(error);
  if (!failure || !(error instanceof TRPCClientError)) return "No answer came. Check your connection and try again.";
  if (failure.code === "INVALID_INPUT") return firstIssue(failure.details) ?? error.message;
  if (mayBeDone(failure)) return error.message;
  const words = WORDS[failure.code];
  return words ? `${words.title}. ${words.description}` : error.message;
}

/** A failure as a toast. @param fallback what did not work: "The portal could not be opened" */
export function sayFailure(error: unknown, fallback: string): void {
  const failure = failureOf(error);
  if (failure && mayBeDone(failure)) {
    toastError("Stripe takes too long to answer", { description: "It may still be done: look again in a moment." });
    return;
  }
  const words = failure ? WORDS[failure.code] : undefined;
  if (words) toastError(words.title, { description: words.description });
  else toastError(fallback, { description: "Nothing was changed. Try again in a moment." });
}

/** Of an action that had begun when Stripe fell silent, nobody can say that nothing was changed. */
function mayBeDone({ details }: BillingFailure): boolean {
  return details.begun === true;
}

function firstIssue(details: Record<string, unknown>): string | null {
  const { issues } = details as { issues?: { message?: string }[] };
  return issues?.[0]?.message ?? null;
}
