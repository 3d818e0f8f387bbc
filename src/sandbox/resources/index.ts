// Every route of the API. A new resource is a new file and a line here.
import type { Route } from "../http/route";
import { accounts } from "./account";
import { balanceTransactions } from "./balance-transactions";
import { charges } from "./charges";
import { checkoutSessions } from "./checkout-sessions";
import { coupons } from "./coupons";
import { creditNotes } from "./credit-notes";
import { customerDetails } from "./customer-details";
import { customers } from "./customers";
import { disputes } from "./disputes";
import { events } from "./events";
import { invoiceDrafts } from "./invoice-drafts";
import { invoiceItems } from "./invoice-items";
import { invoicePayments } from "./invoice-payments";
import { invoicePreviews } from "./invoice-previews";
import { invoices } from "./invoices";
import { meters } from "./meters";
import { paymentIntents } from "./payment-intents";
import { paymentMethods } from "./payment-methods";
import { portalConfigurations } from "./portal-configurations";
import { portalSessions } from "./portal-sessions";
import { prices } from "./prices";
import { products } from "./products";
import { promotionCodes } from "./promotion-codes";
import { refunds } from "./refunds";
import { setupIntents } from "./setup-intents";
import { subscriptionItems } from "./subscription-items";
import { subscriptionSchedules } from "./subscription-schedules";
import { subscriptions } from "./subscriptions";
import { taxRates } from "./tax-rates";
import { testClocks } from "./test-clocks";
import { webhookEndpoints } from "./webhook-endpoints";

export const routes: Route[] = [
  ...accounts,
  ...balanceTransactions,
  ...charges,
  ...checkoutSessions,
  ...coupons,
  ...creditNotes,
  ...customerDetails,
  ...customers,
  ...disputes,
  ...events,
  ...invoiceItems,
  ...invoicePayments,
  // Before the drafts: `create_preview` is no invoice's id.
  ...invoicePreviews,
  ...invoiceDrafts,
  ...invoices,
  ...meters,
  ...paymentIntents,
  ...paymentMethods,
  ...portalConfigurations,
  ...portalSessions,
  ...prices,
  ...products,
  ...promotionCodes,
  ...refunds,
  ...setupIntents,
  ...subscriptionItems,
  ...subscriptionSchedules,
  ...subscriptions,
  ...taxRates,
  ...testClocks,
  ...webhookEndpoints,
];
