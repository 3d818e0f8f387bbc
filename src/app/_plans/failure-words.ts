"use client";
// A failure as a sentence for whoever pressed the button.
import { TRPCClientError } from "@trpc/client";
import { failureOf } from "../_trpc/react";

/** What to say of a call that failed: what went wrong, and what to do about it. */
export function failureWords(error: unknown): string {
  const failure = failureOf(error);
  if (!failure || !(error instanceof TRPCClientError)) {
    return "No answer came. Check your connection and try again.";
  }
  switch (failure.code) {
    case "INVALID_INPUT":
      return firstIssue(failure.details) ?? error.message;
    case "UNAUTHENTICATED":
      return "You are signed out. Sign in again, then repeat this.";
    case "STRIPE_UNAVAILABLE":
      return "Stripe does not answer at the moment. Nothing was charged. Try again in a minute.";
    case "INTERNAL":
      return "Something went wrong on our side. Try again in a moment.";
    default:
      return error.message;
  }
}

function firstIssue(details: Record<string, unknown>): string | null {
  const { issues } = details as { issues?: { message?: string }[] };
  return issues?.[0]?.message ?? null;
}
