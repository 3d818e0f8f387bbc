"use client";
// Paying an open invoice with the card on file, and what there is to say when that did not go through.
import { keepFocus } from "~/components/ui/keep-focus";
import { toastDone } from "~/components/ui/toast";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";

export interface PaymentProblem {
  message: string;
  /** Where it can be confirmed, or paid with another card. */
  url: string | null;
  /** The bank waits for its holder, and has not said no. */
  confirms: boolean;
}

export interface PayInvoice {
  pay: (invoiceId: string) => void;
  /** The invoice that is being paid. */
  payingId: string | null;
  /** Of the last try. */
  problem: PaymentProblem | null;
}

export function usePayInvoice(organizationId: string): PayInvoice {
  const utils = trpc.useUtils();
  const payment = trpc.billing.payInvoice.useMutation({
    onSuccess: ({ status }) => {
      if (status === "paid") toastDone("The invoice is paid");
    },
    onSettled: async () => {
      await Promise.all([utils.billing.invalidate(), utils.subscription.get.invalidate(), utils.credits.invalidate()]);
      keepFocus();
    },
  });
  return {
    pay: (invoiceId) => payment.mutate({ organizationId, invoiceId }),
    payingId: payment.isPending ? payment.variables.invoiceId : null,
    problem: problemOf(),
  };

  function problemOf(): PaymentProblem | null {
    if (payment.isPending) return null;
    if (payment.error) return { message: failureWords(payment.error), url: null, confirms: false };
    const { data } = payment;
    if (!data || data.status === "paid") return null;
    const message = data.message ?? "The payment did not go through.";
    return { message, url: data.url ?? null, confirms: data.status === "payment_required" };
  }
}
