"use client";
// Invoices, packs, credit notes and refunds, newest first, each with its two documents, the page at Stripe and the PDF; what
// is open can be paid.
import { Download, ExternalLink } from "lucide-react";
import { TextButton } from "../ui/link-button";
import { State, type StateTone } from "../ui/state";
import { Sub, Table, TBody, TD, TH, THead, TR } from "../ui/table";
import { formatMoney } from "./format";
import { LocalDate } from "./local-time";
import { useViewer } from "./viewer";

export type HistoryKind = "invoice" | "credit_purchase" | "refund" | "credit_note" | (string & {});

export interface HistoryRow {
  id: string;
  kind: HistoryKind;
  status: string;
  /** "Pro, January", "10,000 credits" */
  description: string;
  /** With tax. What goes back is negative or positive; it is shown as what came back. */
  amount: number;
  tax?: number | null;
  currency: string;
  occurredAt: Date;
  number?: string | null;
  invoiceUrl?: string | null;
  pdfUrl?: string | null;
  /** "paid at the second attempt, 4 Dec" */
  note?: string | null;
}

const kindWords: Record<string, string> = {
  invoice: "Invoice",
  credit_purchase: "Credits",
  refund: "Refund",
  credit_note: "Credit note",
};

/** An invoice that waits for its money, tried or not. */
const UNPAID: ReadonlySet<string> = new Set(["open", "failed", "payment_failed", "past_due"]);

/** Money that goes back, or is not asked for any more. */
const GOES_BACK: ReadonlySet<string> = new Set(["refund", "credit_note"]);

const statusWords: Record<string, { word: string; tone: StateTone }> = {
  paid: { word: "paid", tone: "plain" },
  succeeded: { word: "paid", tone: "plain" },
  complete: { word: "paid", tone: "plain" },
  open: { word: "to be paid", tone: "warn" },
  unpaid: { word: "to be paid", tone: "warn" },
  issued: { word: "issued", tone: "plain" },
  draft: { word: "draft", tone: "quiet" },
  pending: { word: "being paid", tone: "plain" },
  processing: { word: "being paid", tone: "plain" },
  requires_action: { word: "needs you", tone: "danger" },
  failed: { word: "failed", tone: "danger" },
  payment_failed: { word: "failed", tone: "danger" },
  past_due: { word: "overdue", tone: "danger" },
  uncollectible: { word: "written off", tone: "quiet" },
  void: { word: "void", tone: "quiet" },
  voided: { word: "void", tone: "quiet" },
  refunded: { word: "refunded", tone: "plain" },
  partially_refunded: { word: "partly refunded", tone: "plain" },
  disputed: { word: "disputed", tone: "warn" },
  dispute_lost: { word: "dispute lost", tone: "quiet" },
  canceled: { word: "cancelled", tone: "quiet" },
  cancelled: { word: "cancelled", tone: "quiet" },
  expired: { word: "expired", tone: "quiet" },
};

const refundWords: Record<string, { word: string; tone: StateTone }> = {
  succeeded: { word: "refunded", tone: "plain" },
  paid: { word: "refunded", tone: "plain" },
  pending: { word: "on its way", tone: "plain" },
  requires_action: { word: "waits for the bank", tone: "plain" },
  failed: { word: "could not be paid out", tone: "danger" },
};

/** How a payment stands, as a word. */
export function PaymentState({ status, kind }: { status: string; kind?: HistoryKind }) {
  const ofRefund = kind === "refund" ? refundWords[status] : undefined;
  if (ofRefund) return <State tone={ofRefund.tone}>{ofRefund.word}</State>;
  const known = statusWords[status] ?? { word: status.replaceAll("_", " "), tone: "plain" as const };
  return <State tone={known.tone}>{known.word}</State>;
}

export interface HistoryTableProps {
  items: readonly HistoryRow[];
  /** Absent: whoever looks may not pay. */
  onPay?: (id: string) => void;
  payingId?: string | null;
}

export function HistoryTable({ items, onPay, payingId = null }: HistoryTableProps) {
  const { locale } = useViewer();
  const pay = (item: HistoryRow) =>
    onPay && item.kind === "invoice" && UNPAID.has(item.status) ? (
      <PayButton item={item} onPay={onPay} payingId={payingId} />
    ) : null;
  return (
    <Table caption="Invoices, credit purchases, credit notes and refunds, newest first">
      <THead>
        <TH>Date</TH>
        <TH>For</TH>
        <TH roomy>Kind</TH>
        <TH wide>Number</TH>
        <TH wide>Status</TH>
        <TH num roomy>
          Tax
        </TH>
        <TH num>Amount</TH>
        <TH num wide>
          Documents
        </TH>
      </THead>
      <TBody>
        {items.map((item) => {
          const signed = (amount: number) => (GOES_BACK.has(item.kind) ? -Math.abs(amount) : amount);
          return (
            <TR key={item.id}>
              <TD className="whitespace-nowrap">
                <LocalDate value={item.occurredAt} show="date" />
              </TD>
              <TH scope="row">
                <span className="row-link">{item.description}</span>
                {item.note ? <Sub>{item.note}</Sub> : null}
                <Sub narrow>
                  <PaymentState status={item.status} kind={item.kind} />
                  {item.number ? ` · ${item.number}` : ""}
                </Sub>
                <Sub narrow>
                  <span className="inline-flex items-center gap-4">
                    {pay(item)}
                    <Documents item={item} />
                  </span>
                </Sub>
              </TH>
              <TD roomy className="text-ink-2">
                {kindWords[item.kind] ?? item.kind}
              </TD>
              <TD wide className="whitespace-nowrap text-ink-2">
                {item.number ?? ""}
              </TD>
              <TD wide>
                <PaymentState status={item.status} kind={item.kind} />
              </TD>
              <TD num roomy className="text-ink-3">
                {item.tax ? formatMoney({ amount: signed(item.tax), currency: item.currency }, { locale }) : ""}
              </TD>
              <TD num>{formatMoney({ amount: signed(item.amount), currency: item.currency }, { locale })}</TD>
              <TD num wide>
                <span className="inline-flex items-center gap-4">
                  {pay(item)}
                  <Documents item={item} />
                </span>
              </TD>
            </TR>
          );
        })}
      </TBody>
    </Table>
  );
}

function PayButton({
  item,
  onPay,
  payingId,
}: { item: HistoryRow } & Required<Pick<HistoryTableProps, "onPay" | "payingId">>) {
  const paying = payingId === item.id;
  return (
    <TextButton
      className="font-medium"
      aria-label={`Pay ${item.number ?? item.description}`}
      aria-disabled={payingId !== null || undefined}
      aria-busy={paying || undefined}
      onClick={() => {
        if (payingId === null) onPay(item.id);
      }}
    >
      {paying ? "Paying…" : "Pay"}
    </TextButton>
  );
}

function Documents({ item }: { item: HistoryRow }) {
  const name = item.number ?? item.description;
  const look = "inline-flex items-center gap-1 pointer-coarse:py-2";
  return (
    <span className="inline-flex items-center gap-4">
      {item.invoiceUrl ? (
        <a
          href={item.invoiceUrl}
          target="_blank"
          rel="noreferrer"
          className={look}
          aria-label={`View ${name}, opens in a new tab`}
        >
          View
          <ExternalLink aria-hidden className="size-3.5" />
        </a>
      ) : null}
      {item.pdfUrl ? (
        <a href={item.pdfUrl} className={look} aria-label={`PDF of ${name}`}>
          PDF
          <Download aria-hidden className="size-3.5" />
        </a>
      ) : null}
    </span>
  );
}
