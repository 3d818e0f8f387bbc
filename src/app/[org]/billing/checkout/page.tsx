// Where Stripe sends people back to after a checkout. It shows a status; what a payment brings is decided by the server.
import type { Metadata } from "next";
import { requireOrganization } from "../../../_trpc/server";
import { CheckoutReturn, UnknownCheckout } from "./checkout-return";

export const metadata: Metadata = { title: "Checkout" };

interface CheckoutPageProps {
  params: Promise<{ org: string }>;
  searchParams: Promise<{ session?: string | string[] }>;
}

export default async function CheckoutPage({ params, searchParams }: CheckoutPageProps) {
  const { org } = await params;
  const { session } = await searchParams;
  const sessionId = typeof session === "string" && session.length > 0 ? session : null;
  const query = sessionId ? `?session=${encodeURIComponent(sessionId)}` : "";
  const { organization } = await requireOrganization(org, `/${org}/billing/checkout${query}`);
  const base = `/${organization.slug}/billing`;
  if (!sessionId) return <UnknownCheckout base={base} />;
  return <CheckoutReturn organizationId={organization.id} sessionId={sessionId} base={base} />;
}
