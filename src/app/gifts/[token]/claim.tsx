"use client";
// A gift in words, and claiming it for one of the organizations of whoever is signed in.
import { useRouter } from "next/navigation";
import { useState } from "react";
import { creditsInWords } from "~/components/billing/format";
import { LocalTime } from "~/components/billing/local-time";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { Field } from "~/components/ui/field";
import { Select } from "~/components/ui/select";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../_trpc/failures";
import { trpc } from "../../_trpc/react";

type Gift = RouterOutputs["gifts"]["look"];

/** How much, until when, and what of it will be lost when. */
export function AboutGift({ gift }: { gift: Gift }) {
  const { locale } = useViewer();
  const ending = gift.lots.filter((lot) => lot.expiresAt !== null);
  return (
    <div className="grid gap-2 [overflow-wrap:anywhere]">
      <p>
        <b className="text-ink">{creditsInWords(gift.amount, locale)}</b> for the organization of whoever claims them
        first, until <LocalTime value={gift.expiresAt} zone className="whitespace-normal" />.
      </p>
      {gift.message ? <blockquote className="border-l-2 border-line-strong pl-3">{gift.message}</blockquote> : null}
      {ending.map((lot) => (
        <p key={lot.expiresAt?.getTime()} className="text-sm">
          {creditsInWords(lot.amount, locale)} of it {lot.amount === 1 ? "expires" : "expire"} on{" "}
          {lot.expiresAt ? <LocalTime value={lot.expiresAt} show="date" /> : null}.
        </p>
      ))}
    </div>
  );
}

export function ClaimGift({ token, organizations }: { token: string; organizations: Gift["claimableFor"] }) {
  const router = useRouter();
  const [organizationId, choose] = useState(organizations[0]?.id ?? "");
  const claim = trpc.gifts.claim.useMutation({ onSuccess: ({ slug }) => router.push(`/${slug}/billing/credits`) });
  const [only, ...others] = organizations;
  return (
    <form
      className="grid gap-4"
      onSubmit={(event) => {
        event.preventDefault();
        claim.mutate({ token, organizationId });
      }}
    >
      {others.length > 0 ? (
        <Field label="Organization">
          <Select value={organizationId} onChange={(event) => choose(event.target.value)}>
            {organizations.map(({ id, name, slug }) => (
              <option key={id} value={id}>
                {/* Names may repeat; slugs never do. */}
                {organizations.some((other) => other.id !== id && other.name === name) ? `${name} (${slug})` : name}
              </option>
            ))}
          </Select>
        </Field>
      ) : null}
      {claim.error ? (
        <p role="alert" className="text-sm font-medium text-danger">
          {failureWords(claim.error)}
        </p>
      ) : null}
      <Button
        type="submit"
        variant="primary"
        wide
        className="h-auto py-1 whitespace-normal [overflow-wrap:anywhere]"
        loading={claim.isPending || claim.isSuccess}
      >
        {others.length > 0 ? "Claim credits" : `Claim for ${only?.name}`}
      </Button>
    </form>
  );
}
