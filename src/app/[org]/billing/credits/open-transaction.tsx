"use client";
// The entry that the address names, in its drawer: what it was, which lots it touched and why those, what asked for it.
import { formatMoney, formatTime, type Viewer } from "~/components/billing/format";
import type { TransactionDetail as Shown } from "~/components/billing/transaction-drawer";
import { TransactionDrawer } from "~/components/billing/transaction-drawer";
import { useViewer } from "~/components/billing/viewer";
import { useAlive } from "~/components/ui/use-alive";
import type { RouterOutputs } from "~/server/api/root";
import { failureOf, trpc } from "../../../_trpc/react";

type Detail = RouterOutputs["credits"]["transaction"];
type Explained = Extract<RouterOutputs["credits"]["explain"], { kind: "transaction" }>;
type Origin = NonNullable<Explained["lots"][number]["origin"]>;
type Members = RouterOutputs["members"]["list"];

export interface OpenTransactionProps {
  organizationId: string;
  /** null: none stands open. */
  transactionId: string | null;
  /** The address of another entry's drawer. */
  hrefOf: (transactionId: string) => string;
  onClose: () => void;
}

export function OpenTransaction({ organizationId, transactionId, hrefOf, onClose }: OpenTransactionProps) {
  const alive = useAlive();
  const viewer = useViewer();
  const detail = trpc.credits.transaction.useQuery(
    { organizationId, transactionId: transactionId ?? "" },
    // An entry never changes; only the lots behind it that were not reached could be told anew.
    { enabled: transactionId !== null, staleTime: 60_000 },
  );
  const why = trpc.credits.explain.useQuery(
    { organizationId, transactionId: transactionId ?? "" },
    { enabled: transactionId !== null, staleTime: 60_000 },
  );
  const explained = why.data?.kind === "transaction" && why.data.id === detail.data?.id ? why.data : undefined;
  const byPerson = detail.data?.actor.startsWith("user:") ?? false;
  const members = trpc.members.list.useQuery({ organizationId }, { enabled: byPerson, staleTime: 60_000 });
  const missing = ["NOT_FOUND", "INVALID_INPUT"].includes(failureOf(detail.error)?.code ?? "");
  const error = missing
    ? { title: "There is no such transaction", text: "The link may be of another organization, or cut short." }
    : { onRetry: () => void detail.refetch() };

  return (
    <TransactionDrawer
      openId={alive ? transactionId : null}
      onOpenChange={(open) => {
        if (!open) onClose();
      }}
      transaction={
        detail.data
          ? { ...show(detail.data, members.data), ...(explained ? showWhy(explained, viewer, hrefOf) : {}) }
          : undefined
      }
      error={detail.isError ? error : null}
      shareUrl={alive ? window.location.href : undefined}
    />
  );
}

function show(detail: Detail, members: Members | undefined): Shown {
  return {
    id: detail.id,
    type: detail.type,
    eventName: detail.eventName,
    quantity: detail.quantity,
    label: detail.reason,
    amount: detail.amount,
    balanceBefore: detail.balanceAfter - detail.amount,
    balanceAfter: detail.balanceAfter,
    createdAt: detail.createdAt,
    burnOrder: detail.burnOrder === "purchased_first" ? "never_expiring_first" : "expiring_first",
    ...lotsOf(detail),
    unitCost: detail.unitCost,
    apiKey: detail.apiKeyName ? { name: detail.apiKeyName } : null,
    actor: detail.apiKeyName ? null : actorInWords(detail.actor, members),
    reason: detail.reason,
    idempotencyKey: detail.idempotencyKey,
    metadata: detail.metadata,
    ledgerNumber: detail.seq,
  };
}

/** What the entry itself does not say: its rate, where its credits came from, its hold, and what corrects it. */
function showWhy(explained: Explained, viewer: Viewer, hrefOf: (id: string) => string): Partial<Shown> {
  const { rate, lots, hold, corrects, correctedBy, project } = explained;
  const linkTo = (row: { id: string; seq: number }) => ({ number: row.seq, href: hrefOf(row.id) });
  return {
    ...(rate ? { unitCost: rate.cost, perUnits: rate.perUnits, rateSince: rate.since, isOwnRate: rate.isOwn } : {}),
    origins: lots.flatMap(({ grantId, label, origin }) =>
      origin ? { id: grantId, label, words: originInWords(origin, viewer), link: paymentLink(origin) } : [],
    ),
    hold,
    project,
    corrects: corrects && linkTo(corrects),
    correctedBy: correctedBy.map(linkTo),
  };
}

/** "Pro, Mar 1, 2026 to Apr 1, 2026", "Bought for $89.00 on Mar 1, 2026", "From Northwind". */
function originInWords({ source, plan, payment, from, reason, at }: Origin, viewer: Viewer): string {
  const date = (value: Date) => formatTime(value, viewer, { style: "date" });
  if (from) return `From ${from.name ?? "another organization"}, ${date(at)}`;
  if (plan) {
    const range = `${date(plan.periodStart)} to ${date(plan.periodEnd)}`;
    return plan.trial ? `Trial of ${plan.name}, ${range}` : `${plan.name}, ${range}`;
  }
  if (source === "purchase" && payment)
    return `Bought for ${formatMoney(payment, { locale: viewer.locale })}, ${date(at)}`;
  return reason ? `${reason}, ${date(at)}` : date(at);
}

function paymentLink({ payment }: Origin): { label: string; href: string } | null {
  const href = payment?.invoiceUrl ?? payment?.pdfUrl;
  return href ? { label: payment?.number ? `Invoice ${payment.number}` : "Receipt", href } : null;
}

/** The lots of what took credits; the one lot that a grant made is the entry itself. */
function lotsOf({ type, amount, queue }: Detail): Pick<Shown, "queue" | "queueTitle" | "why"> {
  if (amount >= 0) return {};
  const lots = queue.map((lot) => ({
    id: lot.grantId,
    label: lot.label,
    expiresAt: lot.expiresAt,
    before: lot.before,
    took: -lot.moved,
  }));
  if (type === "consume") return { queue: lots };
  if (type === "expiry") {
    return {
      queue: lots,
      queueTitle: "What expired",
      why: "These credits had not been spent when their time was over.",
    };
  }
  return { queue: lots, queueTitle: "Taken back from", why: "Credits of these lots were taken back." };
}

function actorInWords(actor: string, members: Members | undefined): string | null {
  if (actor === "billfold") return "Billfold";
  const [kind, id] = actor.split(":");
  if (kind === "key") return "a service";
  if (kind !== "user") return actor;
  const member = members?.find((one) => one.userId === id);
  return member ? (member.name ?? member.email) : "a person";
}
