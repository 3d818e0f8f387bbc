"use client";
// The end of a checkout in words: confirmed, on its way, or not paid; then back to the overview. The words change in one
// place of the page, so that screen readers tell each change.
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
/** Stripe says within seconds whether a card was charged. */
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
  const paid = usePaid(progress.step === "settled" ? progress.outcome : null, organizationId, base);

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
    (progress.step === "waiting" &&
      progress.outcome.status === "open" &&
      progress.following &&
      progress.waitedMs < PATIENCE_MS);
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
  if (paid) {
    const { title, text, facts } = paid;
    return (
      <CheckoutResult state="paid" what={what} title={title} text={text} backHref={base} backLabel="Go to the overview">
        {facts}
      </CheckoutResult>
    );
  }
  if (outcome.status === "processing") {
    const arrive = outcome.kind === "credits" ? "the credits come" : "the plan begins, and its credits come,";
    return (
      <CheckoutResult
        state="awaited"
        what={what}
        title="Your payment is on its way"
        text={`Your bank takes a few days for it. As soon as the money has arrived, ${arrive} by themselves; should the bank refuse it, nothing is lost and you can pay in another way. You need not wait here.`}
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

interface PaidView {
  title: string;
  text: string;
  facts: ReactNode;
}

/** What a paid checkout brought, and the way on to the overview after a moment; null while nothing is paid. */
function usePaid(outcome: CheckoutOutcome | null, organizationId: string, base: string): PaidView | null {
  const { locale } = useViewer();
  const router = useRouter();
  const utils = trpc.useUtils();
  const paid = outcome?.status === "paid";
  const isPlan = outcome?.kind === "subscription";
  const subscription = trpc.subscription.get.useQuery({ organizationId }, { enabled: paid && isPlan });
  const balance = trpc.credits.balance.useQuery({ organizationId }, { enabled: paid });

  useEffect(() => {
    if (!paid) return;
    // What the overview keeps is of before the payment.
    void utils.billing.invalidate();
    const timer = setTimeout(() => router.replace(base), FORWARD_AFTER_MS);
    return () => clearTimeout(timer);
  }, [paid, router, utils, base]);

  if (!outcome || !paid) return null;
  const plan = isPlan ? subscription.data : null;
  const trialEnd = plan?.status === "trial" ? plan.trialEnd : null;
  const facts: ReactNode[] = [];
  if (plan) {
    facts.push(
      <Fact key="plan" label="Plan">
        {plan.planName}, {plan.interval === "month" ? "monthly" : "yearly"}
      </Fact>,
      <Fact key="until" label={trialEnd ? "Trial ends" : "Renews"}>
        <LocalDate value={trialEnd ?? plan.currentPeriodEnd} />
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
  const done = isPlan
    ? `${plan?.planName ?? "Your plan"} is active`
    : `${capitalized(whatOf(outcome, locale))} are there`;
  return {
    title: plan && trialEnd ? `Your trial of ${plan.planName} has begun` : done,
    text: `${trialEnd ? "Nothing was charged today." : "The payment went through."} You are taken to the overview in a moment.`,
    facts: facts.length > 0 ? <Facts>{facts}</Facts> : null,
  };
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
