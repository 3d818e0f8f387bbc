// The sandbox's own controls, which Stripe does not have: clock, deliveries, mails, paying a session, what banks
// decide, starting over.
import {
  actOnDispute,
  actOnPayment,
  actOnRefund,
  isDisputeAction,
  isPaymentAction,
  isRefundAction,
  openDisputeOf,
} from "./bank";
import type { Deliverer } from "./delivery";
import { DEBITS, isDebitType, readAccount } from "./engine/bank-accounts";
import { passesLuhn } from "./engine/cards";
import { asksForCard, authenticateCheckout, type Submission, submitCheckout } from "./engine/checkout";
import { applyPromotionCode } from "./engine/checkout-amounts";
import { dunningOf, readDunning, setDunning } from "./engine/subscription-dunning";
import { invalidRequest } from "./errors";
import { listMails } from "./mailbox";
import { actOnEndpoint, isEndpointAction, sendAgain } from "./webhook-control";
import type { World } from "./world";

export interface ControlAnswer {
  status: number;
  body: unknown;
}

interface Context {
  world: World;
  deliverer: Deliverer;
  query: URLSearchParams;
  body: Record<string, unknown>;
}

const ok = (body: unknown): ControlAnswer => ({ status: 200, body });
const refuse = (status: number, error: string): ControlAnswer => ({ status, body: { error } });

function clockState(world: World) {
  const frozen = world.clock.frozenAt();
  return { now: world.clock.global(), frozen: frozen !== null };
}

/** Moves the global clock; everything that falls due on the way happens, each thing at its own instant. */
export function moveClock(world: World, to: number | null): number {
  const target = to ?? Math.floor(Date.now() / 1000);
  const ran = world.scheduler.runDue(null, target);
  world.clock.freeze(to);
  return ran;
}

function setClock({ world, body }: Context): ControlAnswer {
  const { now } = body;
  if (now !== null && !(typeof now === "number" && Number.isSafeInteger(now) && now >= 0)) {
    return refuse(400, "`now` must be unix seconds, or null for real time");
  }
  return ok({ ran: moveClock(world, now), ...clockState(world) });
}

/** What the body names to pay with: a card, or the account of a debit. */
function methodOf({ method = "card", card, account }: Record<string, unknown>): Pick<Submission, "card" | "account"> {
  if (typeof method === "string" && isDebitType(method)) {
    return { account: { type: method, number: readAccount(method, String(account ?? DEBITS[method].usual)) } };
  }
  if (method !== "card") throw invalidRequest(`\`method\` must be card, ${Object.keys(DEBITS).join(" or ")}`);
  const number = String(card ?? "4242424242424242").replaceAll(/\D/g, "");
  if (!passesLuhn(number)) throw invalidRequest("Your card number is invalid.");
  return { card: { number } };
}

/** Pays a session as its hosted page would; a card that asks for authentication gets it. */
function completeCheckout({ world, body }: Context, sessionId: string): ControlAnswer {
  const session = world.sessions.get(sessionId);
  if (!session) return refuse(404, `No such checkout.session: '${sessionId}'`);
  const customer = session.customer ? world.customers.get(session.customer) : undefined;
  const email =
    typeof body.email === "string" ? body.email : (customer?.email ?? session.customer_email ?? "jenny@example.com");
  const name = typeof body.name === "string" ? body.name : (customer?.name ?? "Jenny Rosen");
  if (typeof body.promotion_code === "string") {
    const code = body.promotion_code;
    const problem = world.store.transaction(() =>
      world.onClockOf(session.customer, () => applyPromotionCode(world, session, code)),
    );
    if (problem) return refuse(400, problem);
  }
  const country = typeof body.country === "string" ? body.country.toUpperCase() : undefined;
  const method = asksForCard(world.sessions.get(sessionId) ?? session) ? methodOf(body) : {};
  let outcome = world.store.transaction(() => submitCheckout(world, sessionId, { email, name, country, ...method }));
  if (outcome.status === "requires_action") {
    const succeeds = body.authenticate !== false;
    outcome = world.store.transaction(() => authenticateCheckout(world, sessionId, succeeds));
  }
  if (outcome.status === "declined") {
    const { code, declineCode, message } = outcome.failure;
    return ok({ status: "declined", error: { code, decline_code: declineCode ?? null, message } });
  }
  return outcome.status === "expired" ? refuse(409, "The session has expired.") : ok({ status: outcome.status });
}

function listDeliveries({ world, query }: Context): ControlAnswer {
  const [event, state] = [query.get("event"), query.get("state")];
  const found = event ? world.events.deliveries.by("event", event) : [...world.events.deliveries.values()];
  const limit = Math.min(1000, Number(query.get("limit") ?? 100) || 100);
  const data = found
    .reverse()
    .filter((delivery) => !state || delivery.state === state)
    .slice(0, limit)
    .map((delivery) => ({
      ...delivery,
      type: world.events.all.get(delivery.event)?.type ?? null,
      url: world.endpoints.get(delivery.endpoint)?.url ?? null,
    }));
  return ok({ data, pending: world.events.deliveries.by("state", "pending").length });
}

/** Answers a request under `/_sandbox/`. */
export function answerControl(context: Context, method: string, path: string): ControlAnswer {
  const { world, deliverer, body, query } = context;
  const [, , ...parts] = path.split("/");
  const asked = `${method} ${parts.map((part, position) => (position === 1 && parts.length === 3 ? ":id" : part)).join("/")}`;
  const [noun, id = "", action = ""] = parts;
  const acts = method === "POST" && parts.length === 3;
  if (acts && noun === "refunds" && isRefundAction(action)) {
    return ok(actOnRefund(world, id, action, body.reason));
  }
  if (acts && noun === "payment_intents" && isPaymentAction(action)) {
    return ok(actOnPayment(world, id, action, body.code));
  }
  if (acts && noun === "disputes" && isDisputeAction(action)) return ok(actOnDispute(world, id, action));
  if (acts && noun === "webhook_endpoints" && isEndpointAction(action)) {
    return ok(actOnEndpoint(context, id, action, body));
  }
  switch (asked) {
    case "GET health":
      return ok({ ok: true, url: world.url, ...clockState(world) });
    case "GET clock":
      return ok(clockState(world));
    case "POST clock":
      return setClock(context);
    case "POST checkout/:id/complete":
      return completeCheckout(context, id);
    case "POST events/:id/deliver":
      if (world.endpoints.size === 0) return refuse(404, "There is no endpoint.");
      return ok({ deliveries: sendAgain(world, id, typeof body.endpoint === "string" ? body.endpoint : null) });
    case "POST disputes":
      return ok(openDisputeOf(world, body));
    case "GET deliveries":
      return listDeliveries(context);
    case "GET webhooks":
      return ok({ paused: deliverer.paused });
    case "POST webhooks":
      if (typeof body.paused !== "boolean") return refuse(400, "`paused` must be true or false");
      deliverer.pause(body.paused);
      return ok({ paused: body.paused });
    case "GET faults":
      return ok(world.faults.show());
    case "POST faults":
      world.faults.set(body);
      return ok(world.faults.show());
    case "GET settings":
      return ok(dunningOf(world));
    case "POST settings": {
      const read = readDunning(body);
      return typeof read === "string" ? refuse(400, read) : ok(setDunning(world, read));
    }
    case "GET mails":
      return ok(listMails(world, query.get("to")));
    case "POST reset":
      world.store.wipe();
      world.faults.set({});
      world.scheduler.restart();
      world.beginSeed();
      return ok({ ok: true });
    default:
      return refuse(404, `The sandbox has no ${method} ${path}; its README lists its controls.`);
  }
}
