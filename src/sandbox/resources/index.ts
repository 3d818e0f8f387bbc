// Every route of the API. A new resource is a new file and a line here.
import type { Route } from "../http/route";
import { accounts } from "./account";
import { checkoutSessions } from "./checkout-sessions";
import { customers } from "./customers";
import { invoices } from "./invoices";
import { paymentMethods } from "./payment-methods";
import { payments } from "./payments";
import { portal } from "./portal";
import { prices } from "./prices";
import { products } from "./products";
import { subscriptions } from "./subscriptions";
import { testClocks } from "./test-clocks";
import { webhooks } from "./webhooks";

export const routes: Route[] = [
  ...accounts,
  ...checkoutSessions,
  ...customers,
  ...invoices,
  ...paymentMethods,
  ...payments,
  ...portal,
  ...prices,
  ...products,
  ...subscriptions,
  ...testClocks,
  ...webhooks,
];
