// A price for each of ours, one for each currency: so a line of an invoice names one row of ours, and the price of a plan in
// one currency can change alone. Amounts cannot be changed at Stripe: a new price takes the name over, and the old one is
// archived, which its subscribers do not notice.
import { invariant } from "~/domain/errors";
import { callStripe, expectObject, idOf, type Stripe } from "../../stripe";
import { type Change, fromTo, keep, onceKey } from "./changes";
import { type OurPrice, type OurProduct, savePriceId } from "./ours";

interface Side {
  stripe: Stripe;
  products: readonly Stripe.Product[];
  prices: readonly Stripe.Price[];
  /** Stripe's product by our key, once it is there. */
  productIds: ReadonlyMap<string, string>;
}

/** @param ids Stripe's price by our id: filled here, and by what is applied */
export function planPrices(ours: readonly OurProduct[], side: Side, ids: Map<string, string>): Change[] {
  const taken = new Set(ours.flatMap((product) => product.prices.map((price) => price.stripeId)));
  const changes: Change[] = [];
  const chosen = new Set<string>();
  for (const product of ours) {
    for (const price of product.prices) {
      const found = findPrice(product, price, side, taken);
      if (found) {
        chosen.add(found.id);
        ids.set(price.id, found.id);
      }
      const change = found ? alignPrice(product, price, found, side) : makePrice(product, price, side, ids);
      if (change) changes.push(change);
    }
  }
  const left = supersededBy(ours, side.prices, chosen).map((price) => archive(price, side, ours, ids));
  // The names are handed over before what had them is archived.
  const isArchived = (change: Change) => change.action === "archive";
  return [...changes.filter((change) => !isArchived(change)), ...changes.filter(isArchived), ...left];
}

/** Stripe's price that is a row of ours: by its id, by ours in its metadata, or by its name; the money must be the same. */
function findPrice(
  product: OurProduct,
  price: OurPrice,
  { prices, productIds }: Side,
  taken: ReadonlySet<string | null>,
): Stripe.Price | null {
  const same = prices.filter(
    (theirs) =>
      theirs.unit_amount === price.unitAmount &&
      theirs.currency === price.currency &&
      (theirs.recurring?.interval ?? null) === price.interval &&
      (theirs.recurring?.interval_count ?? 1) === 1 &&
      idOf(theirs.product) === productIds.get(product.key),
  );
  const free = same.filter((theirs) => !taken.has(theirs.id));
  return (
    same.find((theirs) => theirs.id === price.stripeId) ??
    free.find((theirs) => theirs.metadata.billfoldId === price.id) ??
    (price.active ? free.find((theirs) => theirs.lookup_key === price.lookupKey) : undefined) ??
    null
  );
}

/** Prices that are active under one of our rows' names, and that no row is any more. */
function supersededBy(
  ours: readonly OurProduct[],
  prices: readonly Stripe.Price[],
  chosen: ReadonlySet<string>,
): Stripe.Price[] {
  const rows = new Set(ours.flatMap((product) => product.prices.map((price) => price.id)));
  return prices.filter((price) => price.active && !chosen.has(price.id) && rows.has(price.metadata.billfoldId ?? ""));
}

function alignPrice(product: OurProduct, price: OurPrice, found: Stripe.Price, side: Side): Change {
  const { id, active, lookupKey } = price;
  const about = { kind: "price", name: nameOf(price) } as const;
  const details: string[] = [];
  if (found.active !== active) details.push(fromTo("active", found.active, active));
  // What is archived keeps its name until another price takes it.
  if (active && found.lookup_key !== lookupKey) details.push(fromTo("lookup_key", found.lookup_key, lookupKey));
  if (found.metadata.billfoldId !== id) details.push(fromTo("metadata.billfoldId", found.metadata.billfoldId, id));
  const link = () => (price.stripeId === found.id ? undefined : savePriceId(product, price, found.id));
  if (details.length === 0 && price.stripeId === found.id) return keep(about.kind, about.name);
  if (details.length === 0) {
    const linked = [fromTo("id", price.stripeId, found.id)];
    return { ...about, action: "link", details: linked, apply: async () => void (await link()) };
  }
  return {
    ...about,
    action: found.active && !active ? "archive" : "update",
    details,
    apply: async () => {
      if (!active) await freeOfDefault(side, found, successorOf(product, price, side));
      const named = active ? { lookup_key: lookupKey, transfer_lookup_key: true } : {};
      await callStripe(async () => {
        const wanted = { active, metadata: { billfoldId: id }, ...named };
        return expectObject("price", await side.stripe.prices.update(found.id, wanted));
      });
      await link();
    },
  };
}

function makePrice(product: OurProduct, price: OurPrice, side: Side, ids: Map<string, string>): Change | null {
  if (!price.active) return null;
  const { id, lookupKey, currency, unitAmount, interval } = price;
  const lost = side.prices.find((theirs) => theirs.id === price.stripeId);
  const why = lost ? [fromTo("amount", amountOf(lost), `${unitAmount} ${currency}`), "amounts cannot be changed"] : [];
  const gone = price.stripeId && !lost ? [`${price.stripeId} is not there any more`] : [];
  return {
    action: "create",
    kind: "price",
    name: nameOf(price),
    details: [...why, ...gone],
    apply: async () => {
      const productId = side.productIds.get(product.key);
      invariant(productId, "a product is made before its prices");
      const wanted = {
        product: productId,
        currency,
        unit_amount: unitAmount,
        lookup_key: lookupKey,
        transfer_lookup_key: true,
        metadata: { billfoldId: id },
        ...(interval ? { recurring: { interval } } : {}),
      };
      const made = await callStripe(async () =>
        expectObject("price", await side.stripe.prices.create(wanted, onceKey("price", wanted, price.stripeId))),
      );
      ids.set(id, made.id);
      await savePriceId(product, price, made.id);
    },
  };
}

/** Archives what was a row's before. */
function archive(
  found: Stripe.Price,
  side: Side,
  ours: readonly OurProduct[],
  ids: ReadonlyMap<string, string>,
): Change {
  const row = found.metadata.billfoldId ?? "";
  const price = ours.flatMap((product) => product.prices).find(({ id }) => id === row);
  return {
    action: "archive",
    kind: "price",
    name: price ? nameOf({ ...price, unitAmount: found.unit_amount ?? 0, currency: found.currency }) : found.id,
    details: [fromTo("active", true, false)],
    apply: async () => {
      await freeOfDefault(side, found, ids.get(row) ?? null);
      await callStripe(() => side.stripe.prices.update(found.id, { active: false }));
    },
  };
}

/** Another price of the same product that is for sale. */
function successorOf(product: OurProduct, price: OurPrice, { prices }: Side): string | null {
  const others = product.prices.filter((other) => other.active && other.id !== price.id).map((other) => other.stripeId);
  return prices.find((theirs) => theirs.active && others.includes(theirs.id))?.id ?? null;
}

/** Stripe does not archive the price that a product shows first, which somebody may have chosen in the dashboard. */
async function freeOfDefault(side: Side, price: Stripe.Price, successor: string | null): Promise<void> {
  const product = side.products.find(({ default_price }) => idOf(default_price) === price.id);
  if (product && successor !== null) {
    await callStripe(() => side.stripe.products.update(product.id, { default_price: successor }));
  }
}

const nameOf = ({ lookupKey, unitAmount, currency }: Pick<OurPrice, "lookupKey" | "unitAmount" | "currency">) =>
  `${lookupKey} (${unitAmount} ${currency})`;

const amountOf = (price: Stripe.Price) => `${price.unit_amount} ${price.currency}`;
