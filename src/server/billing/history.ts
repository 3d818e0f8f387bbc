// What an organization was charged and refunded, as it was synchronized from Stripe.
import { asOrganization } from "../db";

export interface HistoryItem {
  id: string;
  kind: "invoice" | "credit_purchase" | "refund" | "credit_note";
  status: string;
  description: string;
  /** Minor units, tax included; a refund is negative. */
  amount: number;
  tax: number;
  currency: string;
  occurredAt: Date;
  number: string | null;
  invoiceUrl: string | null;
  pdfUrl: string | null;
}

/** A page of history, newest first. The cursor is the id of the last line of the page before. */
export function listHistory(
  organizationId: string,
  cursor: string | null,
  limit: number,
): Promise<{ items: HistoryItem[]; nextCursor: string | null }> {
  return asOrganization(organizationId, async (tx) => {
    const last = cursor === null ? null : await tx.billingHistory.findFirst({ where: { organizationId, id: cursor } });
    const rows = await tx.billingHistory.findMany({
      where: {
        organizationId,
        ...(last
          ? { OR: [{ occurredAt: { lt: last.occurredAt } }, { occurredAt: last.occurredAt, id: { lt: last.id } }] }
          : {}),
      },
      orderBy: [{ occurredAt: "desc" }, { id: "desc" }],
      take: limit + 1,
    });
    const page = rows.slice(0, limit);
    return {
      items: page.map((row) => ({
        id: row.id,
        kind: row.kind,
        status: row.status,
        description: row.description,
        amount: Number(row.amount),
        tax: Number(row.tax),
        currency: row.currency,
        occurredAt: row.occurredAt,
        number: row.number,
        invoiceUrl: row.invoiceUrl,
        pdfUrl: row.pdfUrl,
      })),
      nextCursor: rows.length > limit ? (page.at(-1)?.id ?? null) : null,
    };
  });
}
