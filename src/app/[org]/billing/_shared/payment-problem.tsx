"use client";
// Why an invoice was not paid on somebody's click, and where it can be.
import { ExternalLink } from "lucide-react";
import type { ReactNode } from "react";
import { cn } from "~/components/ui/cn";
import type { PaymentProblem } from "./use-pay-invoice";

export function PaymentProblemText({ problem, className }: { problem: PaymentProblem; className?: string }) {
  return (
    <p role="alert" className={cn("text-sm font-medium text-danger", className)}>
      {problem.message} {problem.confirms ? null : "Nothing was charged."}{" "}
      {problem.url ? (
        <InvoicePageLink url={problem.url}>
          {problem.confirms ? "Confirm on the invoice’s page" : "Pay with another card"}
        </InvoicePageLink>
      ) : null}
    </p>
  );
}

/** Stripe's page of the invoice: the bank's question is answered there, and it takes any card. */
export function InvoicePageLink({ url, children }: { url: string; children: ReactNode }) {
  return (
    <a href={url} className="inline-flex items-center gap-1 whitespace-nowrap underline">
      {children}
      <ExternalLink aria-hidden className="size-3.5" />
    </a>
  );
}
