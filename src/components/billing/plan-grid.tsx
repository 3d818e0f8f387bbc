"use client";
// The plans as one sheet ruled in columns. Inside an organization one is chosen and its receipt stands beside it;
// in public every column has its button.
import { type CSSProperties, type ReactNode, useId } from "react";
import { Button } from "../ui/button";
import { Segmented } from "../ui/segmented";
import { Select } from "../ui/select";
import { Tag } from "../ui/state";
import { formatCredits, formatMoney } from "./format";
import { currenciesOf, freeMonths, type Interval, type PlanOption, priceOf, yearlySaving } from "./plan";
import { useViewer } from "./viewer";

export interface PlanGridProps {
  plans: readonly PlanOption[];
  interval: Interval;
  currency: string;
  /** Id of the chosen plan. */
  value: string | null;
  onChange: (planId: string) => void;
  /** What the organization has now. */
  current?: { planId: string; interval: Interval } | null;
  disabled?: boolean;
}

export function PlanGrid({ plans, interval, currency, value, onChange, current, disabled }: PlanGridProps) {
  const name = useId();
  return (
    <fieldset className="plan-grid" style={columns(plans)} disabled={disabled}>
      <legend className="sr-only">Plan</legend>
      {plans.map((plan) => (
        <label key={plan.id} className="plan">
          <input
            type="radio"
            name={name}
            value={plan.id}
            checked={plan.id === value}
            disabled={!priceOf(plan, interval, currency)}
            onChange={() => onChange(plan.id)}
            className="absolute opacity-0"
            aria-label={plan.name}
            aria-describedby={`${name}-${plan.id}`}
          />
          <span className="flex items-center gap-2 font-strong">
            <i className="radio-mark" aria-hidden="true" />
            {plan.name}
            {current?.planId === plan.id ? (
              <Tag>{current.interval === interval ? "Current" : `Current, ${intervalWord(current.interval)}`}</Tag>
            ) : null}
          </span>
          <span id={`${name}-${plan.id}`}>
            <PlanTerms plan={plan} interval={interval} currency={currency} />
          </span>
        </label>
      ))}
    </fieldset>
  );
}

export interface PublicPlanGridProps {
  plans: readonly PlanOption[];
  interval: Interval;
  currency: string;
  onChoose?: (plan: PlanOption) => void;
  /** Instead of the button: a link styled as one, say. Its name should be "Choose <plan>". */
  renderAction?: (plan: PlanOption) => ReactNode;
  choosingId?: string | null;
  currentPlanId?: string | null;
  /** The plan whose button is the primary one. */
  suggestedPlanId?: string | null;
}

export function PublicPlanGrid({
  plans,
  interval,
  currency,
  onChoose,
  renderAction,
  choosingId,
  currentPlanId,
  suggestedPlanId,
}: PublicPlanGridProps) {
  return (
    <ul className="plan-grid" style={columns(plans)}>
      {plans.map((plan) => (
        <li key={plan.id} className="plan">
          <h2 className="flex items-center gap-2">
            {plan.name} {plan.id === currentPlanId ? <Tag>Current</Tag> : null}
          </h2>
          {plan.description ? <p className="text-sm text-ink-2">{plan.description}</p> : null}
          <div className="flex-1">
            <PlanTerms plan={plan} interval={interval} currency={currency} />
          </div>
          <div className="mt-5">
            {renderAction ? (
              renderAction(plan)
            ) : (
              <Button
                wide
                variant={plan.id === suggestedPlanId ? "primary" : "secondary"}
                loading={choosingId === plan.id}
                disabled={!priceOf(plan, interval, currency) || plan.id === currentPlanId}
                onClick={() => onChoose?.(plan)}
              >
                {`Choose ${plan.name}`}
              </Button>
            )}
          </div>
        </li>
      ))}
    </ul>
  );
}

function PlanTerms({ plan, interval, currency }: { plan: PlanOption; interval: Interval; currency: string }) {
  const { locale } = useViewer();
  const money = (amount: number, trim = true) => formatMoney({ amount, currency }, { locale, trim });
  const price = priceOf(plan, interval, currency);
  const month = priceOf(plan, "month", currency);
  const year = priceOf(plan, "year", currency);
  const saving = yearlySaving(plan, currency);
  const yearWords =
    saving && year
      ? interval === "month"
        ? `${money(year.unitAmount)} a year saves ${money(saving.amount)}`
        : `saves ${money(saving.amount)} against ${money((month?.unitAmount ?? 0) * 12)}`
      : "";
  return (
    <>
      <span className="mt-2 block text-xl font-strong tracking-tight">
        {price ? money(price.unitAmount) : "—"}{" "}
        <small className="text-sm font-normal tracking-normal text-ink-2">
          {price ? `a ${interval}` : `not sold by the ${interval}`}
        </small>
      </span>
      <span className="block min-h-5 text-sm text-ink-3">{yearWords}</span>
      <ul className="plan-gets mt-4 text-sm text-ink-2">
        <li>
          <b className="text-ink">{formatCredits(plan.credits, { locale })}</b> credits a {plan.creditInterval}
        </li>
        {plan.trialDays ? <li>{plan.trialDays} days to try it</li> : null}
        {plan.features.map((feature) => (
          <li key={feature}>{feature}</li>
        ))}
      </ul>
    </>
  );
}

export interface PlanChoicesProps {
  plans: readonly PlanOption[];
  interval: Interval;
  onInterval: (interval: Interval) => void;
  currency: string;
  /** Absent: the currency is settled, by an earlier payment. */
  onCurrency?: (currency: string) => void;
}

/** Month or year, and the currency: stands in the head of the page. */
export function PlanChoices({ plans, interval, onInterval, currency, onCurrency }: PlanChoicesProps) {
  const free = freeMonths(plans, currency);
  const currencies = currenciesOf(plans);
  return (
    <>
      <Segmented
        label="Billed"
        value={interval}
        onChange={onInterval}
        options={[
          { value: "month", label: "Monthly" },
          { value: "year", label: free ? `Yearly, ${monthsInWords(free)} free` : "Yearly" },
        ]}
      />
      {onCurrency && currencies.length > 1 ? (
        <Select
          aria-label="Currency"
          value={currency.toUpperCase()}
          onChange={(event) => onCurrency(event.target.value)}
        >
          {currencies.map((code) => (
            <option key={code}>{code}</option>
          ))}
        </Select>
      ) : null}
    </>
  );
}

function monthsInWords(count: number): string {
  const words = ["no months", "one month", "two months", "three months", "four months"];
  return words[count] ?? `${count} months`;
}

function intervalWord(interval: Interval): string {
  return interval === "month" ? "monthly" : "yearly";
}

function columns(plans: readonly PlanOption[]): CSSProperties {
  return { "--plans": Math.max(1, plans.length) } as CSSProperties;
}
