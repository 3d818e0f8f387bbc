// The page behind an invitation's link: what is offered, and accepting it as the person it was mailed to.
import type { Metadata } from "next";
import type { ReactNode } from "react";
import { NarrowPage } from "~/components/billing/narrow-page";
import { roleOptions, roleWord } from "~/components/billing/roles";
import { LinkButton } from "~/components/ui/link-button";
import type { RouterOutputs } from "~/server/api/root";
import { currentPerson } from "~/server/auth/current-person";
import { PublicHeader } from "../../_plans/public-header";
import { caller, expectedFailure } from "../../_trpc/server";
import { AcceptInvitation, SignInAsAnother } from "./answers";

// The address holds a secret: it goes into no search engine, and to no site that is linked from here.
export const metadata: Metadata = { title: "Invitation", robots: { index: false }, referrer: "no-referrer" };

type Invitation = RouterOutputs["invitations"]["preview"];

export default async function InvitationPage({ params }: { params: Promise<{ token: string }> }) {
  const token = decoded((await params).token);
  const [person, invitation] = await Promise.all([currentPerson(), findInvitation(token)]);
  const path = `/invitations/${encodeURIComponent(token)}`;
  const signInHref = `/signin?callbackUrl=${encodeURIComponent(path)}`;
  return (
    <>
      <PublicHeader account={person ? { name: person.name, email: person.email } : null} signInHref={signInHref} />
      {invitation ? (
        <Offer invitation={invitation} signedInAs={person?.email ?? null} token={token} signInHref={signInHref} />
      ) : (
        <NarrowPage
          title="This link leads nowhere"
          text="If you were invited more than once, use the link of the newest mail. Or ask for a new invitation."
        >
          <WayOn signedIn={person !== null} />
        </NarrowPage>
      )}
    </>
  );
}

interface OfferProps {
  invitation: Invitation;
  /** null where nobody is signed in. */
  signedInAs: string | null;
  token: string;
  signInHref: string;
}

function Offer({ invitation, signedInAs, token, signInHref }: OfferProps) {
  const { organizationName, email, role, state } = invitation;
  const addressee = signedInAs === email;
  const other = signedInAs !== null && !addressee;

  if (state === "revoked" || state === "expired") {
    return (
      <NarrowPage
        title={state === "revoked" ? "This invitation was taken back" : "This invitation is too old"}
        text={`It was for ${email}, to join ${organizationName}. Ask somebody there for a new one.`}
      >
        <WayOn signedIn={signedInAs !== null} />
      </NarrowPage>
    );
  }

  if (state === "accepted") {
    return (
      <NarrowPage
        title="This invitation was accepted already"
        text={addressee ? `You joined ${organizationName} with it.` : `${email} joined ${organizationName} with it.`}
      >
        {addressee ? (
          <AcceptInvitation token={token} label={`Open ${organizationName}`} />
        ) : (
          <WayOn signedIn={signedInAs !== null} signInHref={signInHref} />
        )}
      </NarrowPage>
    );
  }

  const hint = roleOptions.find((option) => option.value === role)?.hint;
  const about: ReactNode = (
    <>
      <b className="text-ink">{email}</b> is invited with the role {roleWord(role)}
      {hint ? `: ${hint.charAt(0).toLowerCase()}${hint.slice(1)}` : ""}.
    </>
  );
  return (
    <NarrowPage title={`Join ${organizationName}`} text={about}>
      {addressee ? <AcceptInvitation token={token} label="Accept invitation" /> : null}
      {signedInAs === null ? (
        <LinkButton href={signInHref} variant="primary" wide>
          Sign in to accept
        </LinkButton>
      ) : null}
      {other ? (
        <>
          <p className="mb-4 border-l-2 border-warn-line bg-warn-tint px-4 py-3 text-sm">
            You are signed in as {signedInAs}. The invitation is for {email}: sign in with that address to accept it, or
            ask for an invitation of {signedInAs}.
          </p>
          <SignInAsAnother email={email} signInHref={signInHref} />
        </>
      ) : null}
    </NarrowPage>
  );
}

function WayOn({ signedIn, signInHref = "/signin" }: { signedIn: boolean; signInHref?: string }) {
  // The sign-in page sends whoever is signed in on to their organization.
  return signedIn ? (
    <LinkButton href="/signin">Go to your organization</LinkButton>
  ) : (
    <LinkButton href={signInHref}>Sign in</LinkButton>
  );
}

async function findInvitation(token: string): Promise<Invitation | null> {
  try {
    return await (await caller()).invitations.preview({ token });
  } catch (error) {
    const code = expectedFailure(error);
    if (code === "INVITATION_NOT_VALID" || token.length > 200) return null;
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
