"use client";
// Choosing a plan: the sheet of plans, and beside it the receipt of subscribing, or what the organization has already.
import { useEffect, useState } from "react";
import { formatMoney } from "~/components/billing/format";
import { type Interval, priceOf } from "~/components/billing/plan";
import { PlanChoices, PlanGrid } from "~/components/billing/plan-grid";
import { PlanReceiptPanel } from "~/components/billing/plan-receipt";
import { useViewer } from "~/components/billing/viewer";
import { EmptyState } from "~/components/ui/empty-state";
import { keepFocus } from "~/components/ui/keep-focus";
import { TextButton } from "~/components/ui/link-button";
import { Columns, Page, PageHead, Stack } from "~/components/ui/page";
import { Panel, PanelFoot } from "~/components/ui/panel";
import { isLive } from "~/domain/subscription";
import type { RouterOutputs } from "~/server/api/root";
import { type PlanChoice, planQuery } from "../../../_plans/plan-query";
import { failureWords } from "../../../_trpc/failures";
import { failureOf, trpc } from "../../../_trpc/react";
import { usePortal } from "../../_shell/use-portal";
import { usePayInvoice } from "../_shared/use-pay-invoice";
import { useSubscriptionActions } from "../_shared/use-subscription";
import { ChangePanel } from "./change-panel";
import { CurrentPlanPanel } from "./current-plan-panel";
import { receiptOf } from "./receipt";

export interface PlanChooserProps {
  organizationId: string;
  organizationName: string;
  plans: RouterOutputs["plans"]["list"];
  initialSubscription: RouterOutputs["subscription"]["get"];
  initialBalance: RouterOutputs["credits"]["balance"];
  /** What the address asks for. */
  choice: PlanChoice;
  /** Upper case. */
  initialCurrency: string;
  canManage: boolean;
  /** The organization had no trial yet. */
  trialAvailable: boolean;
  now: Date;
}

export function PlanChooser({
  organizationId,
  organizationName,
  plans,
  initialSubscription,
  initialBalance,
  choice,
  initialCurrency,
  canManage,
  trialAvailable,
  now,
}: PlanChooserProps) {
  const viewer = useViewer();
  const utils = trpc.useUtils();
  const { data: subscription } = trpc.subscription.get.useQuery(
    { organizationId },
    { initialData: initialSubscription },
  );
  const { data: balance } = trpc.credits.balance.useQuery({ organizationId }, { initialData: initialBalance });
  const live = subscription && isLive(subscription.status) ? subscription : null;

  const asked = plans.find((plan) => plan.key === choice.plan);
  const [interval, setChosenInterval] = useState<Interval>(asked || !live ? choice.interval : live.interval);
  const [currency, setChosenCurrency] = useState(initialCurrency);
  const [planId, setPlanId] = useState<string | null>(
    () => asked?.id ?? (live ? live.planId : (plans[Math.floor(plans.length / 2)]?.id ?? null)),
  );
  const plan = plans.find(({ id }) => id === planId);
  const price = plan ? priceOf(plan, interval, currency) : undefined;

  const checkout = trpc.subscription.checkout.useMutation({
    onSuccess: ({ url }) => window.location.assign(url),
    onError: () => utils.subscription.get.invalidate({ organizationId }),
  });
  const forgetCheckout = checkout.reset;
  const portal = usePortal(organizationId);
  const actions = useSubscriptionActions();
  const forgetChange = actions.change.reset;
  const payment = usePayInvoice(organizationId);

  useEffect(() => {
    // The browser's Back from Stripe shows this page as it was left; what was done there is not on it yet.
    const onShow = (event: PageTransitionEvent) => {
      if (event.persisted) window.location.reload();
    };
    window.addEventListener("pageshow", onShow);
    return () => window.removeEventListener("pageshow", onShow);
  }, []);

  function choose(next: { planId?: string; interval?: Interval; currency?: string }) {
    const chosen = { planId, interval, currency, ...next };
    setPlanId(chosen.planId);
    setChosenInterval(chosen.interval);
    setChosenCurrency(chosen.currency);
    forgetCheckout();
    forgetChange();
    // Kept in the address, so that a reload or a shared link shows the same.
    const key = plans.find(({ id }) => id === chosen.planId)?.key ?? null;
    const query = planQuery({ plan: key, interval: chosen.interval, currency: chosen.currency });
    window.history.replaceState(null, "", `${window.location.pathname}${query}`);
  }

  if (plans.length === 0) {
    return (
      <Page>
        <PageHead title="Plans" />
        <Panel label="Plans">
          <EmptyState
            title="No plans are for sale yet"
            text="Credits can be bought and spent without a plan. Plans will stand here as soon as there are any."
          />
        </Panel>
      </Page>
    );
  }

  const isAnother = live && plan && price && (plan.id !== live.planId || interval !== live.interval);
  const another = isAnother ? { planId: plan.id, name: plan.name, interval } : null;
  const trial = plan !== undefined && plan.trialDays > 0 && trialAvailable;
  return (
    <Page>
      <PageHead
        title="Plans"
        actions={
          <PlanChoices
            plans={plans}
            interval={interval}
            onInterval={(next) => choose({ interval: next })}
            currency={currency}
            onCurrency={subscription ? undefined : (next) => choose({ currency: next })}
          />
        }
      />
      <Columns>
        <Panel label="Plans">
          <PlanGrid
            plans={plans}
            interval={interval}
            currency={currency}
            value={planId}
            onChange={(next) => choose({ planId: next })}
            current={live ? { planId: live.planId, interval: live.interval } : null}
          />
          <PanelFoot>
            <p>Enterprise: own rates for events and a plan agreed by hand, set for {organizationName} once agreed.</p>
          </PanelFoot>
        </Panel>
        {live ? (
          <Stack>
            {another && canManage ? (
              <ChangePanel
                key={`${another.planId} ${another.interval}`}
                organizationId={organizationId}
                subscription={live}
                target={another}
                balance={balance}
                actions={actions}
                onChanged={keepFocus}
              />
            ) : null}
            <CurrentPlanPanel
              organizationId={organizationId}
              organizationName={organizationName}
              subscription={live}
              canManage={canManage}
              actions={actions}
              payment={payment}
              now={now}
            />
          </Stack>
        ) : plan && price ? (
          <PlanReceiptPanel
            receipt={receiptOf({ plan, price, trial, balance, now, viewer })}
            confirm={
              canManage
                ? trial
                  ? `Start trial of ${plan.name}`
                  : `Subscribe to ${plan.name} for ${formatMoney({ amount: price.unitAmount, currency }, viewer)} a ${interval}`
                : undefined
            }
            onConfirm={() =>
              checkout.mutate({ organizationId, planId: plan.id, interval, currency: currency.toLowerCase() })
            }
            confirming={checkout.isPending || checkout.isSuccess}
            error={
              checkout.error ? (
                <>
                  {failureWords(checkout.error)}{" "}
                  {failureOf(checkout.error)?.code === "ALREADY_SUBSCRIBED" ? (
                    <TextButton onClick={portal.open} disabled={portal.opening}>
                      Manage in Stripe’s portal
                    </TextButton>
                  ) : null}
                </>
              ) : null
            }
            terms={
              canManage
                ? trial
                  ? "Stripe asks for a card now and charges it when the trial ends. Cancel before, and nothing is charged."
                  : "You pay on Stripe’s page; nothing is charged before you confirm there. You can cancel at any time; the plan then ends with the period that is paid."
                : `An owner, an admin or a billing contact of ${organizationName} can subscribe. Ask one of them.`
            }
          />
        ) : (
          <PlanReceiptPanel
            message={
              plan
                ? `${plan.name} is not sold by the ${interval} in ${currency}. Choose another interval or plan.`
                : "Choose a plan to see what it costs today and from then on."
            }
          />
        )}
      </Columns>
    </Page>
  );
}
