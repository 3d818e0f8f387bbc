// /v1/products

import { putProduct } from "../engine/product";
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import { find } from "./find";
import { createPrice, inlinePrice } from "./prices";

const marketingFeatures = p.list(p.object({ name: p.required(p.string({ max: 80 })) }), { max: 15 });

export const products: Route[] = [
  route(
    "POST",
    "/v1/products",
    {
      id: p.string(),
      name: p.required(p.string()),
      active: p.boolean(),
      description: p.string({ max: 40_000 }),
      images: p.list(p.url(), { max: 8 }),
      marketing_features: marketingFeatures,
      metadata: p.metadata(),
      shippable: p.boolean(),
      statement_descriptor: p.string({ max: 22 }),
      tax_code: p.string(),
      type: p.oneOf("service", "good"),
      unit_label: p.string({ max: 12 }),
      url: p.url(),
      default_price_data: p.object(inlinePrice),
    },
    (world, given) => {
      if (given.id && world.products.get(given.id)) {
        throw invalidRequest(`Product already exists.`, "id", "resource_already_exists");
      }
      const { default_price_data: priceData, metadata, ...fields } = given;
      const product = putProduct(world, { ...fields, metadata: p.mergeMetadata(null, metadata) });
      if (!priceData) {
        world.events.emit("product.created", product);
        return product;
      }
      const price = createPrice(world, { ...priceData, product: product.id });
      const complete = world.products.patch(product.id, { default_price: price.id });
      world.events.emit("product.created", complete);
      return complete;
    },
  ),
  route("GET", "/v1/products/:id", {}, (world, _, [id]) => find(world.products, "product", id)),
  route(
    "POST",
    "/v1/products/:id",
    {
      name: p.string(),
      active: p.boolean(),
      default_price: p.string(),
      description: p.emptyable(p.string({ max: 40_000 })),
      images: p.emptyable(p.list(p.url(), { max: 8 })),
      marketing_features: p.emptyable(marketingFeatures),
      metadata: p.metadata(),
      shippable: p.boolean(),
      statement_descriptor: p.string({ max: 22 }),
      tax_code: p.emptyable(p.string()),
      unit_label: p.emptyable(p.string({ max: 12 })),
      url: p.emptyable(p.url()),
    },
    (world, { metadata, images, marketing_features, ...given }, [id]) => {
      const before = find(world.products, "product", id);
      if (given.default_price) {
        const price = find(world.prices, "price", given.default_price, "default_price");
        if (price.product !== id) {
          throw invalidRequest(`The price ${price.id} does not belong to the product ${id}.`, "default_price");
        }
      }
      return world.change(
        world.products,
        id,
        {
          ...given,
          ...(images !== undefined && { images: images ?? [] }),
          ...(marketing_features !== undefined && { marketing_features: marketing_features ?? [] }),
          metadata: p.mergeMetadata(before.metadata, metadata),
          updated: world.now(),
        },
        "product.updated",
      );
    },
  ),
  route("DELETE", "/v1/products/:id", {}, (world, _, [id]) => {
    const product = find(world.products, "product", id);
    if (world.prices.by("product", id).length > 0) {
      throw invalidRequest(
        "This product cannot be deleted because it has one or more user-created prices. If you want to archive it, set `active=false`.",
      );
    }
    world.products.remove(id);
    world.events.emit("product.deleted", product);
    return world.tombstones.put({ id, object: "product", deleted: true });
  }),
  route(
    "GET",
    "/v1/products",
    {
      ...p.pagination,
      active: p.boolean(),
      created: p.range(),
      ids: p.list(p.string()),
      shippable: p.boolean(),
      type: p.oneOf("service", "good"),
      url: p.string(),
    },
    (world, given) => {
      const found = [...world.products.values()].filter(
        (product) =>
          (given.active === undefined || product.active === given.active) &&
          (!given.created || p.inRange(product.created, given.created)) &&
          (!given.ids || given.ids.includes(product.id)) &&
          (given.shippable === undefined || product.shippable === given.shippable) &&
          (!given.type || product.type === given.type) &&
          (!given.url || product.url === given.url),
      );
      return page(found, "/v1/products", "product", given);
    },
  ),
];
