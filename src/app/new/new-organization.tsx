"use client";
// The form that makes an organization, and the way on to its plans.
import { useRouter } from "next/navigation";
import { CreateOrganizationForm } from "~/components/billing/create-organization-form";
import { type PlanChoice, planQuery } from "../_plans/plan-query";
import { failureWords } from "../_trpc/failures";
import { trpc } from "../_trpc/react";

export function NewOrganization({ choice }: { choice: PlanChoice }) {
  const router = useRouter();
  const create = trpc.organizations.create.useMutation();
  return (
    <CreateOrganizationForm
      onCreate={async ({ name }) => {
        const { slug } = await create.mutateAsync({ name });
        router.push(`/${slug}/billing/plans${planQuery(choice)}`);
      }}
      describeError={failureWords}
    />
  );
}
