// The public page: what the plans and packs cost and what a credit buys. Rendered whole for somebody who is not signed in.
import type { Metadata } from "next";
import { EmptyState } from "~/components/ui/empty-state";
import { Panel } from "~/components/ui/panel";
import { currentPerson } from "~/server/auth/current-person";
import { homeOrganization } from "./_plans/home-organization";
import { currencyToShow, readPlanChoice, type SearchParams } from "./_plans/plan-query";
import { PublicHeader } from "./_plans/public-header";
import { PublicPlans } from "./_plans/public-plans";
import { caller } from "./_trpc/server";

export const metadata: Metadata = {
  title: { absolute: "Plans · Billfold" },
  description: "What each plan costs, the credits it brings, and what one credit buys.",
};

export default async function PlansPage({ searchParams }: { searchParams: SearchParams }) {
  const [query, api, person] = await Promise.all([searchParams, caller(), currentPerson()]);
  const [plans, packs, events, organizations] = await Promise.all([
    api.plans.list(),
    api.creditProducts.list(),
    api.creditEvents.list(),
    person ? api.organizations.list() : [],
  ]);
  const choice = readPlanChoice(query);
  const home = homeOrganization(organizations);
  return (
    <>
      <PublicHeader account={person ? { name: person.name, email: person.email } : null} organization={home} />
      <main id="main" tabIndex={-1} className="wrap pt-12 pb-16 outline-none max-sm:pt-8">
        <div className="page">
          {plans.length === 0 ? (
            <Panel label="Plans">
              <EmptyState
                title="No plans are for sale yet"
                text="Prices will stand here as soon as there are plans. Whoever runs this Billfold adds them."
              />
            </Panel>
          ) : (
            <PublicPlans
              plans={plans}
              packs={packs}
              events={events.filter(({ active }) => active)}
              initialInterval={choice.interval}
              initialCurrency={currencyToShow(plans, choice.currency)}
              organizationSlug={home?.slug ?? null}
              signedIn={person !== null}
            />
          )}
        </div>
      </main>
    </>
  );
}
