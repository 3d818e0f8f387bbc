// A new product, whoever makes it: the catalogue, or a price or session that brings its own.
import { newId } from "../ids";
import type { Product } from "../types";
import type { World } from "../world";

/** A product that is kept, but not told of yet. */
export function putProduct(world: World, given: Partial<Product> & { name: string }): Product {
  const now = world.now();
  return world.products.put({
    id: newId("prod", 14),
    object: "product",
    active: true,
    created: now,
    default_price: null,
    description: null,
    images: [],
    livemode: false,
    marketing_features: [],
    metadata: {},
    package_dimensions: null,
    shippable: null,
    statement_descriptor: null,
    tax_code: null,
    tax_details: null,
    type: "service",
    unit_label: null,
    updated: now,
    url: null,
    ...given,
  } satisfies Product);
}

/** Makes a product and tells of it. */
export function newProduct(world: World, given: Partial<Product> & { name: string }): Product {
  const product = putProduct(world, given);
  world.events.emit("product.created", product);
  return product;
}
