"use client";
// Plans, packs and the rate card, in the interval and currency that the visitor chose.
import Link from "next/link";
import { useRouter } from "next/navigation";
import { useState, useTransition } from "react";
import { formatMoney } from "~/components/billing/format";
import { PacksList } from "~/components/billing/packs-list";
import { currenciesOf, type Interval, yearlySaving } from "~/components/billing/plan";
import { PlanChoices, PublicPlanGrid } from "~/components/billing/plan-grid";
import { useViewer } from "~/components/billing/viewer";
import { Actions, Columns } from "~/components/ui/page";
import { Panel, PanelBody, PanelFoot } from "~/components/ui/panel";
import type { RouterOutputs } from "~/server/api/root";
import { planQuery } from "./plan-query";
import { RateCard } from "./rate-card";

export interface PublicPlansProps {
  plans: RouterOutputs["plans"]["list"];
  packs: RouterOutputs["creditProducts"]["list"];
  /** The active ones. */
  events: RouterOutputs["creditEvents"]["list"];
  initialInterval: Interval;
  /** Upper case. */
  initialCurrency: string;
  /** Where somebody who is signed in goes on to. */
  organizationSlug: string | null;
  signedIn: boolean;
}

export function PublicPlans({
  plans,
  packs,
  events,
  initialInterval,
  initialCurrency,
  organizationSlug,
  signedIn,
}: PublicPlansProps) {
  const router = useRouter();
  const { locale } = useViewer();
  const [interval, setInterval] = useState(initialInterval);
  const [currency, setCurrency] = useState(initialCurrency);
  const [chosenId, setChosenId] = useState<string | null>(null);
  const [leaving, startLeaving] = useTransition();

  const sold = packs.flatMap((pack) => {
    const price = pack.prices.find((offer) => offer.currency.toUpperCase() === currency);
    return price ? [{ id: pack.id, credits: pack.credits, ...price }] : [];
  });
  const best = Math.max(0, ...plans.map((plan) => yearlySaving(plan, currency)?.amount ?? 0));

  function choose(plan: { id: string; key?: string }) {
    const query = planQuery({ plan: plan.key ?? null, interval, currency });
    const inside = organizationSlug ? `/${organizationSlug}/billing/plans${query}` : `/new${query}`;
    setChosenId(plan.id);
    startLeaving(() => {
      router.push(signedIn ? inside : `/signin?callbackUrl=${encodeURIComponent(inside)}`);
    });
  }

  return (
    <>
      <div className="mb-6 flex flex-wrap items-end justify-between gap-x-8 gap-y-5">
        <div className="max-w-[44rem]">
          <h1 className="text-xl font-strong tracking-tight text-balance max-sm:text-lg">
            Credits every month, packs when you need more
          </h1>
          <p className="mt-2 text-pretty text-ink-2">
            A plan brings credits with each period. A pack adds credits that never run out. What one call costs stands
            on the rate card below.
            {best > 0
              ? ` Paying by the year saves up to ${formatMoney({ amount: best, currency }, { locale, trim: true })}.`
              : ""}
          </p>
        </div>
        <Actions className="max-sm:w-full max-sm:[&>*]:flex-auto">
          <PlanChoices
            plans={plans}
            interval={interval}
            onInterval={setInterval}
            currency={currency}
            onCurrency={currenciesOf(plans).length > 1 ? setCurrency : undefined}
          />
        </Actions>
      </div>
      <Panel label="Plans">
        <PublicPlanGrid
          plans={plans}
          interval={interval}
          currency={currency}
          onChoose={choose}
          choosingId={leaving ? chosenId : null}
          suggestedPlanId={plans[Math.floor(plans.length / 2)]?.id ?? null}
        />
        <PanelFoot>
          <p>
            Enterprise: own rates for events and a plan agreed by hand. Make an organization first; both are then set
            for it.
          </p>
          <Link href={signedIn ? "/new" : "/signin?callbackUrl=%2Fnew"} className="pointer-coarse:py-2">
            Create an organization
          </Link>
        </PanelFoot>
      </Panel>
      <div className="mt-6">
        <Columns>
          <RateCard events={events} />
          <Panel title="Packs" note="never expire, before tax">
            {sold.length > 0 ? (
              <PacksList
                packs={sold.map((pack) => ({
                  ...pack,
                  note: `${formatMoney({ amount: Math.round((pack.unitAmount * 1000) / pack.credits), currency }, { locale })} a thousand`,
                }))}
              />
            ) : (
              <PanelBody>
                <p className="text-sm text-ink-2">No packs are sold in {currency}.</p>
              </PanelBody>
            )}
            <PanelFoot>
              <p>
                Packs are bought on an organization’s page Credits, with or without a plan. They are spent before the
                credits of a plan.
              </p>
            </PanelFoot>
          </Panel>
        </Columns>
      </div>
    </>
  );
}
