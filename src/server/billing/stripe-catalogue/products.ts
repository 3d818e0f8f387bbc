// A product for each plan and pack. It is found again by a key of ours in its metadata.
import { callStripe, expectObject, type Stripe } from "../../stripe";
import { type Change, differences, fromTo, keep, onceKey } from "./changes";
import { type OurProduct, saveProductId } from "./ours";

/** The product of ours at Stripe; null where there is none yet. */
export function findProduct(ours: OurProduct, theirs: readonly Stripe.Product[]): Stripe.Product | null {
  const known = theirs.find((product) => product.id === ours.stripeId);
  const keyed = theirs.filter((product) => product.metadata.billfoldKey === ours.key);
  return known ?? keyed.find((product) => product.active) ?? keyed[0] ?? null;
}

/**
 * @param ids Stripe's product by our key: filled here with what is there, and by what is applied with what is made
 * @returns null for one that is not for sale and never was
 */
export function planProduct(
  stripe: Stripe,
  ours: OurProduct,
  theirs: readonly Stripe.Product[],
  ids: Map<string, string>,
): Change | null {
  const { key, name, description, active } = ours;
  const about = { kind: "product", name: `${ours.noun} ${name}` } as const;
  const found = findProduct(ours, theirs);
  if (!found) return active ? { ...about, ...makeProduct(stripe, ours, ids) } : null;
  ids.set(key, found.id);
  const link = () => (ours.stripeId === found.id ? undefined : saveProductId(ours, found.id));
  const details = differences({ name, description, active, metadata: { billfoldKey: key } }, found);
  if (details.length === 0) {
    if (ours.stripeId === found.id) return keep(about.kind, about.name);
    return {
      ...about,
      action: "link",
      details: [fromTo("id", ours.stripeId, found.id)],
      apply: async () => void (await link()),
    };
  }
  return {
    ...about,
    action: found.active && !active ? "archive" : "update",
    details,
    apply: async () => {
      const wanted = { name, description: description ?? "", active, metadata: { billfoldKey: key } };
      await callStripe(async () => expectObject("product", await stripe.products.update(found.id, wanted)));
      await link();
    },
  };
}

function makeProduct(
  stripe: Stripe,
  ours: OurProduct,
  ids: Map<string, string>,
): Pick<Change, "action" | "details" | "apply"> {
  const { key, name, description } = ours;
  const wanted = { name, metadata: { billfoldKey: key }, ...(description ? { description } : {}) };
  return {
    action: "create",
    details: ours.stripeId ? [`${ours.stripeId} is not there any more`] : [],
    apply: async () => {
      const key = onceKey("product", wanted, ours.stripeId);
      const { id } = await callStripe(async () => expectObject("product", await stripe.products.create(wanted, key)));
      ids.set(ours.key, id);
      await saveProductId(ours, id);
    },
  };
}
