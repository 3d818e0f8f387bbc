// Stripe's lists, read to their end.
import { BillingError } from "~/domain/errors";
import { callStripe, expectPage } from "./index";

/** Everything of a list, page by page, in Stripe's order: newest first. */
export async function listAll<T extends { id: string }>(
  list: (page: { limit: number; starting_after?: string }) => Promise<{ data: T[]; has_more: boolean }>,
): Promise<T[]> {
  const all: T[] = [];
  for (;;) {
    const last = all.at(-1);
    const page = await callStripe(() => list({ limit: 100, ...(last ? { starting_after: last.id } : {}) }));
    const data = expectPage(page);
    all.push(...data);
    if (!page.has_more || data.length === 0) return all;
  }
}

/** The same; nothing where what the list is about is gone at Stripe. */
export async function listIfThere<T extends { id: string }>(list: Parameters<typeof listAll<T>>[0]): Promise<T[]> {
  try {
    return await listAll(list);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Whether Stripe refused because what was named does not exist (any more). */
export function isGone(error: unknown): boolean {
  return (
    error instanceof BillingError && error.code === "STRIPE_REFUSED" && error.details.reason === "resource_missing"
  );
}
