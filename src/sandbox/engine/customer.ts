// A new customer, whoever makes it: the API or a Checkout page.
import { newId, randomText } from "../ids";
import type { Customer } from "../types";
import type { World } from "../world";

/** Makes a customer and tells of it. */
export function newCustomer(world: World, given: Partial<Customer>): Customer {
  const customer = world.customers.put({
    id: newId("cus", 14),
    object: "customer",
    address: null,
    balance: 0,
    created: world.now(),
    currency: null,
    customer_account: null,
    default_source: null,
    delinquent: false,
    description: null,
    discount: null,
    email: null,
    invoice_prefix: randomText(8).toUpperCase(),
    invoice_settings: { custom_fields: null, default_payment_method: null, footer: null, rendering_options: null },
    livemode: false,
    metadata: {},
    name: null,
    next_invoice_sequence: 1,
    phone: null,
    preferred_locales: [],
    shipping: null,
    tax_exempt: "none",
    test_clock: null,
    ...given,
  } satisfies Customer);
  world.events.emit("customer.created", customer);
  return customer;
}
