// /v1/customers

import { attach, cardBehind, findPaymentMethod } from "../engine/cards";
import { newCustomer } from "../engine/customer";
import { noteBalance } from "../engine/customer-balance";
import { unknownLocation } from "../engine/invoice-draft";
import { declined } from "../engine/invoicing";
import { endSubscription, isLive } from "../engine/subscription-state";
import { addTaxId } from "../engine/tax-ids";
import { invalidRequest } from "../errors";
import { page } from "../http/listing";
import { type Route, route } from "../http/route";
import * as p from "../params";
import type { Customer, PaymentMethod } from "../types";
import type { World } from "../world";
import { taxIdShape } from "./customer-details";
import { find } from "./find";
import { search } from "./search";

const invoiceSettings = p.object({
  default_payment_method: p.emptyable(p.string()),
  footer: p.emptyable(p.string()),
});

const editable = {
  address: p.emptyable(p.address),
  balance: p.integer(),
  description: p.emptyable(p.string()),
  email: p.emptyable(p.email()),
  invoice_prefix: p.string({ max: 12 }),
  invoice_settings: invoiceSettings,
  metadata: p.metadata(),
  name: p.emptyable(p.string({ max: 256 })),
  next_invoice_sequence: p.integer({ min: 1 }),
  phone: p.emptyable(p.string({ max: 20 })),
  preferred_locales: p.list(p.string()),
  tax: p.object({
    ip_address: p.emptyable(p.string()),
    validate_location: p.oneOf("auto", "deferred", "immediately"),
  }),
  tax_exempt: p.emptyable(p.oneOf("none", "exempt", "reverse")),
} satisfies p.Shape;

function fullAddress(given: p.Params<{ address: typeof p.address }>["address"] | null): Customer["address"] {
  const empty = { city: null, country: null, line1: null, line2: null, postal_code: null, state: null };
  return given ? { ...empty, ...given } : null;
}

/** The fields that a caller gave, as the customer keeps them. */
function fieldsOf(world: World, given: p.Params<typeof editable>, before: Customer | null): Partial<Customer> {
  const { address, invoice_settings: settings, metadata, tax, tax_exempt: exempt, ...fields } = given;
  const country = address === undefined ? before?.address?.country : address?.country;
  if (tax?.validate_location === "immediately" && !country) throw unknownLocation();
  const defaultMethod = settings?.default_payment_method;
  if (defaultMethod) {
    const method = find(
      world.paymentMethods,
      "PaymentMethod",
      defaultMethod,
      "invoice_settings[default_payment_method]",
    );
    if (!before || method.customer !== before.id) throw notAttached(method);
  }
  const current = before?.invoice_settings ?? {
    custom_fields: null,
    default_payment_method: null,
    footer: null,
    rendering_options: null,
  };
  return {
    ...fields,
    ...(address !== undefined && { address: fullAddress(address) }),
    ...(settings && { invoice_settings: { ...current, ...settings } }),
    ...(exempt !== undefined && { tax_exempt: exempt ?? "none" }),
    metadata: p.mergeMetadata(before?.metadata, metadata),
  };
}

/** A balance that is set by hand is written down as one entry. */
function noteChange(world: World, customer: Customer, before: number, type: "adjustment" | "initial"): void {
  const amount = customer.balance - before;
  if (amount === 0) return;
  // Without a currency of its own the balance is in the account's.
  noteBalance(world, { customer: customer.id, amount, currency: customer.currency ?? "usd", type }, customer.balance);
}

function notAttached(method: PaymentMethod): Error {
  return invalidRequest(
    `The customer does not have a payment method with the ID ${method.id}. The payment method must be attached to the customer.`,
    "invoice_settings[default_payment_method]",
    "resource_missing",
  );
}

export const customers: Route[] = [
  route(
    "POST",
    "/v1/customers",
    {
      ...editable,
      payment_method: p.string(),
      tax_id_data: p.list(p.object(taxIdShape), { max: 5 }),
      test_clock: p.string(),
      validate: p.accepted(),
    },
    (world, { payment_method: methodId, tax_id_data: taxIds, test_clock: testClock, validate: _, ...given }) => {
      if (testClock) find(world.testClocks, "test_helpers.test_clock", testClock, "test_clock");
      const work = () => {
        const { invoice_settings: settings, ...rest } = given;
        const method = methodId ? findPaymentMethod(world, methodId) : null;
        if (methodId && !method) find(world.paymentMethods, "PaymentMethod", methodId, "payment_method");
        const customer = newCustomer(world, { ...fieldsOf(world, rest, null), test_clock: testClock ?? null });
        noteChange(world, customer, 0, "initial");
        for (const taxId of taxIds ?? []) addTaxId(world, customer.id, taxId);
        if (method) {
          const failure = cardBehind(world, method.id).declines;
          if (failure) throw declined(failure);
          attach(world, method.id, customer);
        }
        const wanted = settings?.default_payment_method;
        const id = wanted && wanted === methodId ? method?.id : wanted;
        if (!settings) return customer;
        const adjusted = { invoice_settings: { ...settings, ...(id && { default_payment_method: id }) } };
        return world.customers.patch(customer.id, fieldsOf(world, { ...rest, ...adjusted }, customer));
      };
      const clock = testClock ? world.testClocks.get(testClock) : undefined;
      return clock ? world.clock.at(clock.frozen_time, work) : work();
    },
  ),
  route(
    "GET",
    "/v1/customers/search",
    { query: p.required(p.string()), limit: p.integer({ min: 1, max: 100 }), page: p.string() },
    (world, given) => search(world.customers, "/v1/customers/search", given),
  ),
  route(
    "GET",
    "/v1/customers/:id",
    {},
    (world, _, [id]) => world.tombstones.get(id) ?? find(world.customers, "customer", id),
  ),
  route(
    "POST",
    "/v1/customers/:id",
    { ...editable, validate: p.accepted() },
    (world, { validate: _, ...given }, [id]) => {
      const before = find(world.customers, "customer", id);
      return world.onClockOf(id, () => {
        const after = world.change(world.customers, id, fieldsOf(world, given, before), "customer.updated");
        noteChange(world, after, before.balance, "adjustment");
        return after;
      });
    },
  ),
  route("DELETE", "/v1/customers/:id", {}, (world, _, [id]) => {
    find(world.customers, "customer", id);
    return world.onClockOf(id, () => deleteCustomer(world, id));
  }),
  route(
    "GET",
    "/v1/customers",
    { ...p.pagination, created: p.range(), email: p.string(), test_clock: p.string() },
    (world, given) => {
      const among = given.email ? world.customers.by("email", given.email) : [...world.customers.values()];
      const found = among.filter(
        (customer) =>
          (!given.created || p.inRange(customer.created, given.created)) &&
          // Customers of a test clock are only listed when it is named.
          (given.test_clock ? customer.test_clock === given.test_clock : !customer.test_clock),
      );
      return page(found, "/v1/customers", "customer", given);
    },
  ),
];

/** Deletes a customer: its subscriptions end at once. */
export function deleteCustomer(world: World, id: string) {
  for (const subscription of world.subscriptions.by("customer", id)) {
    if (isLive(subscription)) endSubscription(world, subscription.id, { reason: "cancellation_requested" });
  }
  const customer = find(world.customers, "customer", id);
  for (const method of world.paymentMethods.by("customer", id))
    world.paymentMethods.patch(method.id, { customer: null });
  world.customers.remove(id);
  world.events.emit("customer.deleted", customer);
  return world.tombstones.put({ id, object: "customer", deleted: true });
}
