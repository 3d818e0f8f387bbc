"use client";
// The ways in, wired to NextAuth.
import { signIn } from "next-auth/react";
import { type DemoPerson, SignInForm, type SignInProvider } from "~/components/billing/sign-in-form";
import { refusalWords } from "./refusals";

export interface SignInProps {
  /** Path to go on to; the sign-in page itself knows where somebody belongs. */
  callbackUrl: string;
  email: boolean;
  providers: readonly SignInProvider[];
  demoPersons: readonly DemoPerson[];
  sent: boolean;
  error: string | null;
  /** Where the demo keeps every mail. */
  mailboxUrl: string | null;
}

/** NextAuth refused, with a code of its own. */
class Refusal extends Error {}

export function SignIn({ callbackUrl, email, providers, demoPersons, sent, error, mailboxUrl }: SignInProps) {
  async function mailLink(address: string) {
    const answer = await signIn("email", { email: address, callbackUrl, redirect: false });
    if (answer?.error) throw new Refusal(refusalWords(answer.error));
  }

  async function enterAs(address: string) {
    const answer = await signIn("demo", { email: address, callbackUrl, redirect: false });
    if (answer?.error) throw new Refusal(refusalWords(answer.error));
    // A whole new document: nothing that was rendered for nobody is kept.
    window.location.assign(callbackUrl);
  }

  return (
    <SignInForm
      onEmail={email ? mailLink : undefined}
      providers={providers}
      onProvider={(id) => signIn(id, { callbackUrl })}
      demoPersons={demoPersons}
      onDemoPerson={enterAs}
      defaultSent={sent}
      error={error}
      describeError={(thrown) => (thrown instanceof Refusal ? thrown.message : null)}
      afterSent={
        mailboxUrl ? (
          <>
            This is the demo: every mail lands in the{" "}
            <a href={mailboxUrl} target="_blank" rel="noreferrer">
              demo’s mailbox
            </a>
            .
          </>
        ) : null
      }
    />
  );
}
