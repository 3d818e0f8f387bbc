// The page behind a gift's link: what it is, and claiming it for an organization.
import type { Metadata } from "next";
import type { ReactNode } from "react";
import { NarrowPage } from "~/components/billing/narrow-page";
import { LinkButton } from "~/components/ui/link-button";
import type { RouterOutputs } from "~/server/api/root";
import { currentPerson } from "~/server/auth/current-person";
import { PublicHeader } from "../../_plans/public-header";
import { caller, expectedFailure } from "../../_trpc/server";
import { AboutGift, ClaimGift } from "./claim";

// The address holds a secret: it goes into no search engine, and to no site that is linked from here.
export const metadata: Metadata = { title: "Gift", robots: { index: false }, referrer: "no-referrer" };

type Gift = RouterOutputs["gifts"]["look"];

export default async function GiftPage({ params }: { params: Promise<{ token: string }> }) {
  const token = decoded((await params).token);
  const [person, gift] = await Promise.all([currentPerson(), findGift(token)]);
  const signInHref = `/signin?callbackUrl=${encodeURIComponent(`/gifts/${encodeURIComponent(token)}`)}`;
  const signedIn = person !== null;
  return (
    <>
      <PublicHeader account={person ? { name: person.name, email: person.email } : null} signInHref={signInHref} />
      {gift ? (
        <Offer gift={gift} signedIn={signedIn} token={token} signInHref={signInHref} />
      ) : (
        <NarrowPage title="This link leads nowhere" text="Ask whoever gave it to you for the whole link.">
          <WayOn signedIn={signedIn} />
        </NarrowPage>
      )}
    </>
  );
}

const OVER: Record<Exclude<Gift["state"], "open">, { title: string; text: (from: string) => ReactNode }> = {
  claimed: {
    title: "This gift was claimed already",
    text: (from) => `A gift of ${from} is claimed once, by whoever opens its link first.`,
  },
  cancelled: { title: "This gift was taken back", text: (from) => `Ask somebody at ${from} for a new one.` },
  expired: { title: "This gift was not claimed in time", text: (from) => `Ask somebody at ${from} for a new one.` },
  withdrawn: {
    title: "This gift is not available any more",
    text: (from) => `Ask somebody at ${from} for a new one.`,
  },
};

interface OfferProps {
  gift: Gift;
  signedIn: boolean;
  token: string;
  signInHref: string;
}

function Offer({ gift, signedIn, token, signInHref }: OfferProps) {
  const { from, state, claimableFor } = gift;
  if (state !== "open") {
    const { title, text } = OVER[state];
    return (
      <NarrowPage title={title} text={<span className="[overflow-wrap:anywhere]">{text(from)}</span>}>
        <WayOn signedIn={signedIn} />
      </NarrowPage>
    );
  }
  const [{ id } = { id: null }] = claimableFor;
  return (
    <NarrowPage title={`Credits from ${from}`} text={<AboutGift gift={gift} />}>
      {!signedIn ? (
        <LinkButton href={signInHref} variant="primary" wide>
          Sign in to claim
        </LinkButton>
      ) : id !== null ? (
        <ClaimGift token={token} organizations={claimableFor} />
      ) : (
        <>
          <p className="mb-4 border-l-2 border-warn-line bg-warn-tint px-4 py-3 text-sm">
            There is no organization yet for which you can claim it: a gift is not for its giver, and takes an owner,
            admin or billing member. Create one, then open this link again.
          </p>
          <LinkButton href="/new" variant="primary" wide>
            Create an organization
          </LinkButton>
        </>
      )}
    </NarrowPage>
  );
}

function WayOn({ signedIn }: { signedIn: boolean }) {
  // The sign-in page sends whoever is signed in on to their organization.
  return <LinkButton href="/signin">{signedIn ? "Go to your organization" : "Sign in"}</LinkButton>;
}

async function findGift(token: string): Promise<Gift | null> {
  try {
    return await (await caller()).gifts.look({ token });
  } catch (error) {
    if (expectedFailure(error) === "GIFT_NOT_VALID" || token.length > 200) return null;
    throw error;
  }
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
