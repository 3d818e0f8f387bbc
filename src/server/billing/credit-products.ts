// Packs of credits: what is for sale, and buying one.
import { toCredits } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { asPlatform } from "../db";
import { type Buyer, openCheckout } from "./checkout";

export interface CreditProduct {
  id: string;
  key: string;
  name: string;
  credits: number;
  prices: { currency: string; unitAmount: number }[];
}

/** Packs that are for sale, with their active prices. @param currency only prices in it */
export async function listCreditProducts(currency: string | null): Promise<CreditProduct[]> {
  const rows = await asPlatform((tx) =>
    tx.creditProduct.findMany({
      where: { active: true },
      include: {
        prices: { where: { active: true, ...(currency === null ? {} : { currency }) }, orderBy: { currency: "asc" } },
      },
      orderBy: [{ sortOrder: "asc" }, { key: "asc" }],
    }),
  );
  return rows.map((row) => ({
    id: row.id,
    key: row.key,
    name: row.name,
    credits: toCredits(row.credits),
    prices: row.prices.map((price) => ({ currency: price.currency, unitAmount: Number(price.unitAmount) })),
  }));
}

/**
 * Opens the checkout of a pack. The credits are those of the pack at this moment, whatever it holds when it is paid.
 * @throws BillingError PRODUCT_NOT_AVAILABLE, STRIPE_UNAVAILABLE
 */
export async function openPackCheckout(
  buyer: Buyer,
  choice: { productId: string; currency: string },
): Promise<{ url: string }> {
  const row = await asPlatform((tx) =>
    tx.creditProductPrice.findFirst({
      where: { ...choice, active: true, product: { active: true } },
      include: { product: true },
    }),
  );
  if (!row?.stripePriceId) {
    throw new BillingError("PRODUCT_NOT_AVAILABLE", "This pack is not for sale in this currency.", { ...choice });
  }
  const metadata = { organizationId: buyer.organizationId, kind: "credits" };
  const { stripePriceId } = row;
  return openCheckout(buyer, () => ({
    kind: "credits",
    productPriceId: row.id,
    stripePriceId,
    credits: toCredits(row.product.credits),
    cancelPath: "/credits",
    params: {
      mode: "payment",
      payment_intent_data: { metadata },
      invoice_creation: { enabled: true, invoice_data: { metadata } },
    },
  }));
}
