// A service as a customer would write it, in a project of its own with nothing but the package: compiled strictly, then run
// against a served API by `integration/client-package.test.ts`. A line under `@ts-expect-error` must not compile.
import {
  type BillingClient,
  BillingClientError,
  billingErrorOf,
  type Consumption,
  createBillingClient,
  isBillingError,
} from "billfold-client";

// Enough of Node for a project that has no types of it.
declare const process: { env: Record<string, string | undefined>; stdout: { write(text: string): void } };

const { BILLFOLD_URL: url = "", BILLFOLD_API_KEY: apiKey = "", ORGANIZATION_ID: organizationId = "" } = process.env;
const billing: BillingClient = createBillingClient({ url, apiKey });

const work = { organizationId, eventName: "api_call_basic", quantity: 7 };
const told = ({ consumed, available, replayed }: Consumption) => ({ consumed, available, replayed });

const first = told(await billing.consume({ ...work, idempotencyKey: "job 1" }));
const again = told(await billing.consume({ ...work, idempotencyKey: "job 1" }));

let refused = "";
try {
  await billing.consume(work);
} catch (error) {
  const failure = billingErrorOf(error);
  if (failure?.code === "INSUFFICIENT_CREDITS") {
    const required: number = failure.details.required;
    refused = `${required} wanted, ${failure.details.available} there`;
    // @ts-expect-error These details are of another code.
    failure.details.idempotencyKey;
  }
  if (!isBillingError(error, "INSUFFICIENT_CREDITS") || !(error instanceof BillingClientError)) throw error;
  error.details.available satisfies number;
}

const { items } = await billing.trpc.credits.transactions.query({ organizationId, type: "consume" });
const newest = [items[0]?.type, items[0]?.createdAt instanceof Date];
const { available: left } = await billing.balance({ organizationId });

// Nobody listens on that port: a client that fails open keeps the consume, and says so.
const open = createBillingClient({
  url: "http://127.0.0.1:9",
  apiKey,
  maxRetries: 0,
  whenUnreachable: "allow",
  spool: { path: "spool/consumes" },
});
const kept = await open.consume(work);
const spooled = kept.spooled === true && kept.idempotencyKey.length > 0;
// @ts-expect-error Nothing is known to be consumed before one has looked whether it was spooled.
kept.consumed;
if (!kept.spooled) kept.consumed satisfies number;
const isKept = ((await open.spool?.pendingBytes()) ?? 0) > 0;
await open.close();

process.stdout.write(JSON.stringify({ first, again, refused, left, newest, spooled, kept: isKept }));

/** What else there is, with the types that it promises: compiled, not run. */
export async function more() {
  const [result] = await billing.consumeMany([work]);
  if (result?.ok) result.consumed satisfies number;
  else if (result?.error.code === "INSUFFICIENT_CREDITS") result.error.details.required satisfies number;
  // @ts-expect-error What was consumed is known of an item that succeeded only.
  result?.consumed;

  const { allowed, cost } = await billing.check(work);
  const { remaining } = await billing.estimate(work);
  const text = await billing.withHold({ organizationId, amount: 100, eventName: "ai_tokens" }, async (held) => {
    const part = await held.capture({ quantity: 12 });
    // @ts-expect-error Whose hold it is, is known.
    await held.capture({ quantity: 12, organizationId: "another" });
    return `${part.consumed} of ${held.hold.amount}, ${held.signal.aborted}`;
  });
  text satisfies string;
  return [allowed satisfies boolean, cost satisfies number | null, remaining satisfies number | null];
}

/** Programs that are wrong: never run, and each must be refused. */
export async function wrong() {
  // @ts-expect-error A quantity is needed.
  await billing.consume({ organizationId, eventName: "api_call_basic" });
  // @ts-expect-error A quantity is a number.
  await billing.consume({ ...work, quantity: "7" });
  // @ts-expect-error There is no such field.
  await billing.consume({ ...work, quanttiy: 7 });
  // @ts-expect-error Metadata is flat.
  await billing.consume({ ...work, metadata: { nested: { deep: true } } });
  // @ts-expect-error There is no such answer.
  (await billing.consume(work)).taken;
  // @ts-expect-error A client that fails closed spools nothing.
  (await billing.consume(work)).spooled;
  // @ts-expect-error There is no such code.
  isBillingError(new Error(), "INSUFICIENT_CREDITS");
  // @ts-expect-error There is no such procedure.
  billing.trpc.credits.spend;
  // @ts-expect-error This one asks, it does not change.
  billing.trpc.credits.balance.mutate;
  // @ts-expect-error Only a person can do that.
  billing.trpc.platformApiKeys;
  // @ts-expect-error There is no such kind of row.
  await billing.trpc.credits.transactions.query({ organizationId, type: "theft" });
  // @ts-expect-error Failing open needs a place to keep things.
  createBillingClient({ url, apiKey, whenUnreachable: "allow" });
  // @ts-expect-error A key is needed.
  createBillingClient({ url });
}
