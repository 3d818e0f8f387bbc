// What a Checkout session comes to: its discount, the tax where its customer is, and the promotion codes typed there.
import { StripeError } from "../errors";
import { amountOf } from "../money";
import type { CheckoutSession, TaxRate } from "../types";
import type { SessionLine, World } from "../world";
import { type AppliedCoupon, sumOf, takeOff } from "./discount-amounts";
import { type DiscountSource, isActive, type Redeemable, redeemable, startDiscount } from "./discounts";
import { behaviorOf } from "./invoice-amounts";
import { cycleAround } from "./period";
import { automaticTax, manualTax, placeOf, type Taxation, type TaxPlace, taxesOn, taxWithin, UNTAXED } from "./tax";

/** Where a session's customer pays tax: at the address that is known, unless the page may replace it. */
function placeOfSession(world: World, session: CheckoutSession): TaxPlace {
  const customer = session.customer ? world.customers.get(session.customer) : undefined;
  const known = placeOf(world, customer);
  const typed = session.customer_details?.address?.country ?? null;
  const replaces = world.checkoutPlans.get(session.id)?.customerUpdate.address ?? false;
  return known.country && !replaces ? known : { ...known, country: typed ?? known.country };
}

/** The rates that a session's subscription will have by default. */
export function defaultRatesOf(world: World, session: CheckoutSession): TaxRate[] {
  const ids = world.checkoutPlans.get(session.id)?.defaultTaxRates ?? [];
  return ids.map((id) => world.taxRates.get(id)).filter((rate) => rate !== undefined);
}

function taxationOfSession(world: World, session: CheckoutSession): Taxation {
  const place = placeOfSession(world, session);
  if (session.automatic_tax.enabled) return automaticTax(world, place);
  const rates = defaultRatesOf(world, session);
  return rates.length > 0 ? manualTax(rates, place.exempt) : UNTAXED;
}

function sourcesOf(session: CheckoutSession): DiscountSource[] {
  return (session.discounts ?? []).map(({ coupon, promotion_code: promotion }) =>
    promotion ? { promotion_code: promotion } : { coupon: coupon ?? "" },
  );
}

/** Refuses what may no longer be redeemed. */
export function checkDiscounts(world: World, session: CheckoutSession): void {
  const { customer, currency, amount_subtotal: subtotal } = session;
  const given = { customer, currency: currency ?? "usd", subtotal };
  for (const [position, source] of sourcesOf(session).entries()) {
    redeemable(world, source, given, `discounts[${position}]`);
  }
}

/** What a session redeems. It was checked when the page was submitted; since then its own payment was made. */
export function redeemablesOf(world: World, session: CheckoutSession): Redeemable[] {
  return (session.discounts ?? []).flatMap(({ coupon: couponId, promotion_code: promotionId }) => {
    const promotion = promotionId ? (world.promotionCodes.get(promotionId) ?? null) : null;
    const coupon = world.coupons.get(couponId ?? promotion?.promotion.coupon ?? "");
    return coupon ? [{ coupon, promotion }] : [];
  });
}

/** Redeems what a one-off purchase was made with; a subscription does so itself. */
export function redeemSession(world: World, session: CheckoutSession): string[] {
  const target = { checkout_session: session.id, customer: session.customer };
  return redeemablesOf(world, session).map((each) => startDiscount(world, each, target).id);
}

/** Lines in the order in which the invoice will have them, so that both are rounded alike. */
function inInvoiceOrder(world: World, session: CheckoutSession): SessionLine[] {
  const lines = world.sessionLines.by("session", session.id);
  return [...lines.filter(({ price }) => price?.recurring), ...lines.filter(({ price }) => !price?.recurring)];
}

function couponsOfSession(world: World, session: CheckoutSession): AppliedCoupon[] {
  return redeemablesOf(world, session).map(({ coupon }, position) => ({ discount: String(position), coupon }));
}

/** What of a line's whole price is due now: up to an anchor inside the first period only its share. */
function shareDue(world: World, session: CheckoutSession, line: SessionLine): number {
  const plan = world.checkoutPlans.get(session.id);
  const anchor = plan?.billingCycleAnchor;
  const recurring = line.price?.recurring ?? null;
  if (!plan || !anchor || !recurring || plan.trialEnd !== null || plan.trialPeriodDays !== null) return 1;
  if (plan.proration === "none") return 0;
  const now = world.now();
  const cycle = cycleAround(anchor, recurring, now);
  return (cycle.end - now) / (cycle.end - cycle.start);
}

/** What a line costs for a whole period; a trial costs nothing. */
function wholeOf(world: World, line: SessionLine, share: number): number {
  const price = line.price && world.prices.get(line.price.id);
  return price && share !== 1 ? amountOf(price, line.currency, line.quantity ?? 1) : line.amount_subtotal;
}

/** Reckons an open session anew, after its discount or its customer's country has changed. */
export function repriceSession(world: World, id: string): CheckoutSession {
  const session = world.sessions.get(id);
  if (!session) throw new Error(`session ${id} is gone`);
  if (session.mode === "setup") return session;
  const currency = session.currency ?? "usd";
  const taxation = taxationOfSession(world, session);
  const lines = inInvoiceOrder(world, session);
  const shares = lines.map((line) => shareDue(world, session, line));
  const wholes = lines.map((line, at) => wholeOf(world, line, shares[at] ?? 1));
  const offs = takeOff(
    lines.map((line, at) => ({ amount: wholes[at] ?? 0, discountable: true, product: line.price?.product ?? null })),
    couponsOfSession(world, session),
    currency,
  );
  const priced = lines.map((line, at) => {
    const [whole, share] = [wholes[at] ?? 0, shares[at] ?? 1];
    const subtotal = Math.round(whole * share);
    const net = Math.round((whole - sumOf(offs[at] ?? [])) * share);
    const behavior = behaviorOf(world, line.price?.id, currency);
    const taxes = taxesOn(net, taxation.ratesFor(behavior));
    const total = net + taxWithin(taxes, "exclusive");
    return world.sessionLines.put({
      ...line,
      amount_subtotal: subtotal,
      amount_discount: subtotal - net,
      amount_tax: sumOf(taxes),
      amount_total: total,
    });
  });
  const sum = (of: (line: SessionLine) => number) => priced.reduce((total, line) => total + of(line), 0);
  const total = sum((line) => line.amount_total);
  return world.sessions.patch(id, {
    amount_subtotal: sum((line) => line.amount_subtotal),
    amount_total: total,
    payment_status: total === 0 ? "no_payment_required" : "unpaid",
    automatic_tax: { ...session.automatic_tax, status: taxation.status },
    total_details: {
      amount_discount: sum((line) => line.amount_discount),
      amount_shipping: 0,
      amount_tax: sum((line) => line.amount_tax),
    },
  });
}

/** The country that the page was given; tax follows it. */
export function locateSession(world: World, session: CheckoutSession, country: string): CheckoutSession {
  const details = session.customer_details;
  const address = { city: null, country, line1: null, line2: null, postal_code: null, state: null };
  world.sessions.patch(session.id, {
    customer_details: {
      address,
      business_name: null,
      email: details?.email ?? session.customer_email,
      individual_name: null,
      name: details?.name ?? null,
      phone: null,
      tax_exempt: details?.tax_exempt ?? "none",
      tax_ids: details?.tax_ids ?? [],
    },
  });
  return repriceSession(world, session.id);
}

/** Applies a code that was typed on the page; null takes it off. Returns what is wrong with it, or null. */
export function applyPromotionCode(world: World, session: CheckoutSession, code: string | null): string | null {
  if (!session.allow_promotion_codes) return "This checkout takes no promotion codes.";
  if (code === null) {
    world.sessions.patch(session.id, { discounts: [] });
    repriceSession(world, session.id);
    return null;
  }
  const { customer, currency, amount_subtotal: subtotal } = session;
  const promotion = world.promotionCodes
    .by("code", code.trim().toLowerCase())
    .filter((each) => isActive(world, each))
    .sort((a, b) => Number(b.customer === customer) - Number(a.customer === customer))[0];
  if (!promotion) return "This code is invalid.";
  try {
    redeemable(world, { promotion_code: promotion.id }, { customer, currency: currency ?? "usd", subtotal }, "code");
  } catch (error) {
    if (error instanceof StripeError) return error.message;
    throw error;
  }
  world.sessions.patch(session.id, { discounts: [{ coupon: null, promotion_code: promotion.id }] });
  repriceSession(world, session.id);
  return null;
}
