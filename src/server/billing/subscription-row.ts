// What a subscription's row keeps as JSON, read back: `sync` writes it.

export interface NextInvoice {
  at: Date;
  /** Minor units, tax included. */
  amount: number;
  tax: number;
  currency: string;
}

export function readNextInvoice(stored: unknown): NextInvoice | null {
  if (stored === null) return null;
  const { at, ...rest } = stored as Omit<NextInvoice, "at"> & { at: string };
  return { ...rest, at: new Date(at) };
}

/** The invoice that waits to be paid. */
export interface OpenInvoice {
  /** Stripe's. */
  id: string;
  /** Minor units, tax included; what is still to be paid. */
  amount: number;
  currency: string;
  /** Its page, where it can be paid with any card. */
  url: string | null;
  /** When Stripe tries again by itself; null where it does not. */
  nextAttemptAt: Date | null;
}

export function readOpenInvoice(stored: unknown): OpenInvoice | null {
  if (stored === null) return null;
  const { id, amount, currency, url, nextAttemptAt } = stored as Omit<OpenInvoice, "nextAttemptAt"> & {
    nextAttemptAt: string | null;
  };
  return { id, amount, currency, url, nextAttemptAt: nextAttemptAt === null ? null : new Date(nextAttemptAt) };
}

/** Another price that waits: for its day, or for its payment. */
export interface StoredChange {
  priceId: string;
  planId: string;
}

export function readScheduledChange(stored: unknown): (StoredChange & { at: Date }) | null {
  if (stored === null) return null;
  const { priceId, planId, at } = stored as StoredChange & { at: string };
  return { priceId, planId, at: new Date(at) };
}

export function readPendingChange(
  stored: unknown,
): (StoredChange & { expiresAt: Date; invoiceId: string | null }) | null {
  if (stored === null) return null;
  const { priceId, planId, expiresAt, invoiceId } = stored as StoredChange & {
    expiresAt: string;
    invoiceId: string | null;
  };
  return { priceId, planId, expiresAt: new Date(expiresAt), invoiceId };
}
