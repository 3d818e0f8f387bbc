// Making an organization, with the plan in mind that was chosen before signing in; or going on with one that exists.
import type { Metadata } from "next";
import Link from "next/link";
import { NarrowPage } from "~/components/billing/narrow-page";
import { roleWord } from "~/components/billing/roles";
import { type PlanChoice, planQuery, readPlanChoice, type SearchParams } from "../_plans/plan-query";
import { PublicHeader } from "../_plans/public-header";
import { caller, requirePerson } from "../_trpc/server";
import { NewOrganization } from "./new-organization";

export const metadata: Metadata = { title: "New organization" };

export default async function NewOrganizationPage({ searchParams }: { searchParams: SearchParams }) {
  const choice = readPlanChoice(await searchParams);
  const person = await requirePerson(`/new${planQuery(choice)}`);
  const organizations = await (await caller()).organizations.list();
  return (
    <>
      <PublicHeader account={{ name: person.name, email: person.email }} />
      <NarrowPage
        title="Create an organization"
        text="It holds the plan, the credits and the invoices, and the people who share them. You become its owner."
      >
        <NewOrganization choice={choice} />
        {organizations.length > 0 ? <Existing organizations={organizations} choice={choice} /> : null}
      </NarrowPage>
    </>
  );
}

interface ExistingProps {
  organizations: { id: string; name: string; slug: string; role: string }[];
  choice: PlanChoice;
}

function Existing({ organizations, choice }: ExistingProps) {
  return (
    <section aria-labelledby="existing" className="mt-6 border-t border-line pt-4">
      <h2 id="existing" className="text-sm">
        {choice.plan ? "Or choose the plan for" : "Or go on with"}
      </h2>
      <ul className="mt-1 divide-y divide-line text-sm">
        {organizations.map(({ id, name, slug, role }) => (
          <li key={id} className="flex items-baseline justify-between gap-4 py-2">
            <Link
              href={choice.plan ? `/${slug}/billing/plans${planQuery(choice)}` : `/${slug}/billing`}
              className="min-w-0 [overflow-wrap:anywhere] pointer-coarse:py-1"
            >
              {name}
            </Link>
            <span className="text-xs text-ink-3">{roleWord(role)}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
