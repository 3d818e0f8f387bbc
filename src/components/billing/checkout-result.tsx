// Where a checkout ends: it is paid, it is still being confirmed, or nothing was paid.
import type { ReactNode } from "react";
import { LinkButton } from "../ui/link-button";
import { NarrowPage } from "./narrow-page";

/** `processing` takes seconds, `awaited` days. */
export type CheckoutState = "paid" | "processing" | "awaited" | "not_paid";

export interface CheckoutResultProps {
  state: CheckoutState;
  /** What it was for: "10,000 credits", "Pro, monthly". */
  what: string;
  /** In place of the words for the state. */
  title?: string;
  text?: string;
  /** Details of what was paid: Facts. */
  children?: ReactNode;
  backHref: string;
  backLabel?: string;
  /** Where to try again after nothing was paid. */
  retryHref?: string;
}

const words: Record<CheckoutState, { title: string; text: (what: string) => string }> = {
  paid: { title: "Paid", text: (what) => `The payment for ${what} went through. The receipt is in your history.` },
  processing: {
    title: "Being confirmed",
    text: (what) =>
      `The payment for ${what} is being confirmed. This page follows it by itself; you may also leave, nothing gets lost.`,
  },
  awaited: {
    title: "On its way",
    text: (what) => `The bank has the payment for ${what}. Nobody needs to wait here.`,
  },
  not_paid: {
    title: "Nothing was paid",
    text: (what) => `The checkout for ${what} was left before paying. Nothing was charged.`,
  },
};

export function CheckoutResult({
  state,
  what,
  title = words[state].title,
  text = words[state].text(what),
  children,
  backHref,
  backLabel = "Back to billing",
  retryHref,
}: CheckoutResultProps) {
  return (
    <NarrowPage title={title} text={<p role="status">{text}</p>}>
      {state === "processing" ? (
        <div role="progressbar" aria-label="Waiting for the payment" className="mb-5 h-0.5 overflow-hidden bg-line">
          <span className="skeleton h-full !bg-accent" />
        </div>
      ) : null}
      {children ? <div className="mb-5">{children}</div> : null}
      <div className="flex flex-wrap gap-2">
        {state === "not_paid" && retryHref ? (
          <LinkButton href={retryHref} variant="primary">
            Try again
          </LinkButton>
        ) : null}
        <LinkButton href={backHref} variant={state === "paid" ? "primary" : "secondary"}>
          {backLabel}
        </LinkButton>
      </div>
    </NarrowPage>
  );
}
