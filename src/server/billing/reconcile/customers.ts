// Customers of ours that Stripe does not have any more.
import { asPlatform } from "../../db";
import type { Stripe } from "../../stripe";
import { syncCustomer } from "../sync";
import type { Context } from "./context";
import { pagesOf } from "./pace";

const BATCH = 200;

/** Goes through Stripe's list first, then asks for each of ours that was not in it: begun anew after a crash. */
export async function* ourCustomers(context: Context): AsyncGenerator<string | null> {
  const there = new Set<string>();
  const list = (page: object): Promise<{ data: Stripe.Customer[]; has_more: boolean }> =>
    context.stripe.customers.list({ ...page });
  for await (const customers of pagesOf(context.pace, null, list)) {
    for (const { id } of customers) there.add(id);
    context.count(customers.length);
  }
  for (let after = ""; ; ) {
    const cursor = after;
    const rows = await asPlatform((tx) =>
      tx.organization.findMany({
        where: { stripeCustomerId: { gt: cursor }, deletedAt: null },
        select: { id: true, stripeCustomerId: true },
        orderBy: { stripeCustomerId: "asc" },
        take: BATCH,
      }),
    );
    for (const { id: organizationId, stripeCustomerId } of rows) {
      const id = stripeCustomerId ?? "";
      if (there.has(id)) continue;
      await context.look({ organizationId, kind: "customer", subject: id }, (run) => syncCustomer(run, id));
    }
    after = rows.at(-1)?.stripeCustomerId ?? "";
    if (rows.length < BATCH) break;
  }
  yield null;
}
