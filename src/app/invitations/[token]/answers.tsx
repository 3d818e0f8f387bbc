"use client";
// What somebody can do with an invitation: accept it, or come back as the person it is for.
import { useRouter } from "next/navigation";
import { signOut } from "next-auth/react";
import { useState } from "react";
import { Button } from "~/components/ui/button";
import { failureWords } from "../../_trpc/failures";
import { failureOf, trpc } from "../../_trpc/react";

/** Accepting again changes nothing, so the same button opens the organization later on. */
export function AcceptInvitation({ token, label }: { token: string; label: string }) {
  const router = useRouter();
  const accept = trpc.invitations.accept.useMutation({
    onSuccess: ({ slug }) => router.push(`/${slug}/billing`),
    onError: (error) => {
      const failure = failureOf(error);
      if (failure?.code === "ALREADY_MEMBER" && typeof failure.details.slug === "string") {
        router.push(`/${failure.details.slug}/billing`);
      }
    },
  });
  return (
    <>
      {accept.error ? (
        <p role="alert" className="mb-3 text-sm font-medium text-danger">
          {failureWords(accept.error)}
        </p>
      ) : null}
      <Button
        variant="primary"
        wide
        className="whitespace-normal"
        loading={accept.isPending || accept.isSuccess}
        onClick={() => accept.mutate({ token })}
      >
        {label}
      </Button>
    </>
  );
}

export function SignInAsAnother({ email, signInHref }: { email: string; signInHref: string }) {
  const [leaving, setLeaving] = useState(false);
  return (
    <Button
      variant="primary"
      wide
      className="h-auto py-1 whitespace-normal [overflow-wrap:anywhere]"
      loading={leaving}
      onClick={async () => {
        setLeaving(true);
        await signOut({ callbackUrl: signInHref });
      }}
    >
      Sign in as {email}
    </Button>
  );
}
