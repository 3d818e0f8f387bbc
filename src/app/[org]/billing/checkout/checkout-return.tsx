"use client";
// The end of a checkout in words: confirmed, on its way, or not paid; then back to the overview.
import { useRouter } from "next/navigation";
import { type ReactNode, useEffect } from "react";
import { CheckoutResult } from "~/components/billing/checkout-result";
import { creditsInWords, formatCredits } from "~/components/billing/format";
import { LocalDate } from "~/components/billing/local-time";
import { NarrowPage } from "~/components/billing/narrow-page";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { Fact, Facts } from "~/components/ui/facts";
import { LinkButton } from "~/components/ui/link-button";
import { trpc } from "../../../_trpc/react";
import { type CheckoutOutcome, useOutcome } from "./use-outcome";

/** Long enough to read what arrived. */
const FORWARD_AFTER_MS = 2_500;
/** Stripe says within seconds whether a card was charged; what takes longer is a bank's doing. */
const PATIENCE_MS = 5_000;

export interface CheckoutReturnProps {
  organizationId: string;
  sessionId: string;
  /** Address of the overview. */
  base: string;
}

export function CheckoutReturn({ organizationId, sessionId, base }: CheckoutReturnProps) {
  const { locale } = useViewer();
  const { progress, again } = useOutcome(organizationId, sessionId);

  if (progress.step === "unknown") return <UnknownCheckout base={base} />;
  if (progress.step === "error") {
    return (
      <NarrowPage
        title="The payment could not be looked up"
        text={<p role="alert">Nothing is lost: what was paid arrives by itself. Try again in a moment.</p>}
      >
        <div className="flex flex-wrap gap-2">
          <Button variant="primary" onClick={again}>
            Try again
          </Button>
          <LinkButton href={base}>Go to the overview</LinkButton>
        </div>
      </NarrowPage>
    );
  }
  const confirming =
    progress.step === "asking" ||
    (progress.step === "waiting" && progress.following && progress.waitedMs < PATIENCE_MS);
  if (confirming) {
    return (
      <CheckoutResult
        state="processing"
        what="your checkout"
        title="Confirming your payment…"
        text="This takes a few seconds. Nothing gets lost if you leave."
        backHref={base}
        backLabel="Go to the overview"
      />
    );
  }

  const { outcome } = progress;
  const what = whatOf(outcome, locale);
  const retryHref = outcome.kind === "credits" ? `${base}/credits#packs` : `${base}/plans`;
  if (outcome.status === "paid") {
    return <Paid outcome={outcome} what={what} organizationId={organizationId} base={base} />;
  }
  if (outcome.status === "processing") {
    const arrives = outcome.kind === "credits" ? "The credits come" : "The plan and its credits come";
    return (
      <CheckoutResult
        state="processing"
        what={what}
        title="Your payment is on its way"
        text={`Your bank has the order for ${what}. A bank debit takes a few days; ${arrives.toLowerCase()} as soon as the money has arrived. You need not wait here.`}
        backHref={base}
        backLabel="Go to the overview"
      />
    );
  }
  return (
    <CheckoutResult
      state="not_paid"
      what={what}
      {...notPaidWords(outcome.status, what)}
      retryHref={retryHref}
      backHref={base}
      backLabel="Go to the overview"
    />
  );
}

function Paid({
  outcome,
  what,
  organizationId,
  base,
}: {
  outcome: CheckoutOutcome;
  what: string;
  organizationId: string;
  base: string;
}) {
  const { locale } = useViewer();
  const router = useRouter();
  const utils = trpc.useUtils();
  const isPlan = outcome.kind === "subscription";
  const subscription = trpc.subscription.get.useQuery({ organizationId }, { enabled: isPlan });
  const balance = trpc.credits.balance.useQuery({ organizationId });
  const plan = subscription.data;

  useEffect(() => {
    // What the overview keeps is of before the payment.
    void utils.billing.invalidate();
    const timer = setTimeout(() => router.replace(base), FORWARD_AFTER_MS);
    return () => clearTimeout(timer);
  }, [router, utils, base]);

  const facts: ReactNode[] = [];
  if (plan) {
    facts.push(
      <Fact key="plan" label={plan.status === "trial" ? "On trial" : "Active"}>
        {plan.planName}, {plan.interval === "month" ? "monthly" : "yearly"}
      </Fact>,
      <Fact key="until" label={plan.status === "trial" && plan.trialEnd ? "Trial ends" : "Renews"}>
        <LocalDate value={plan.trialEnd ?? plan.currentPeriodEnd} />
      </Fact>,
    );
  }
  if (balance.data) {
    facts.push(
      <Fact key="balance" label="Credits to spend now" total>
        {formatCredits(balance.data.available, { locale })}
      </Fact>,
    );
  }
  return (
    <CheckoutResult
      state="paid"
      what={what}
      title={isPlan ? (plan ? `${plan.planName} is active` : "Your plan is active") : `${capitalized(what)} are there`}
      text="The payment went through. You are taken to the overview in a moment."
      backHref={base}
      backLabel="Go to the overview"
    >
      {facts.length > 0 ? <Facts>{facts}</Facts> : null}
    </CheckoutResult>
  );
}

/** For a session that is not this organization's, or none at all. */
export function UnknownCheckout({ base }: { base: string }) {
  return (
    <NarrowPage
      title="There is no such checkout"
      text={<p role="alert">The link is incomplete, or the checkout belongs to another organization.</p>}
    >
      <LinkButton href={base} variant="primary">
        Go to the overview
      </LinkButton>
    </NarrowPage>
  );
}

function whatOf({ kind, credits }: CheckoutOutcome, locale: string): string {
  if (kind === "subscription") return "your plan";
  return credits === null ? "your credits" : creditsInWords(credits, locale);
}

function notPaidWords(status: CheckoutOutcome["status"], what: string): { title: string; text: string } {
  if (status === "failed") {
    return {
      title: "The payment failed",
      text: `The payment for ${what} was refused, and nothing was charged. Try again, with another card or account if need be.`,
    };
  }
  if (status === "expired") {
    return {
      title: "The checkout has expired",
      text: `The checkout for ${what} was open for too long. Nothing was charged; start again whenever you like.`,
    };
  }
  return {
    title: "Not paid",
    text: `The checkout for ${what} was left before it was paid. Nothing was charged.`,
  };
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
