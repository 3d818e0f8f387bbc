"use client";
// The page in short: how much, how fast, and where it goes.
import { creditsInWords, formatCredits, formatPercent, formatTime } from "~/components/billing/format";
import { useViewer } from "~/components/billing/viewer";
import { type Answer, Answers } from "~/components/ui/answers";
import type { RouterOutputs } from "~/server/api/root";
import type { Asked } from "./choice";
import { daysInWords, nameOf, roundForWords } from "./view";

export interface UsageAnswersProps {
  summary: RouterOutputs["usage"]["summary"];
  series: RouterOutputs["usage"]["series"];
  asked: Asked;
  inPeriod: boolean;
  now: Date;
  timeZone: string;
}

const DAY_MS = 86_400_000;

export function UsageAnswers({ summary, series, asked, inPeriod, now, timeZone }: UsageAnswersProps) {
  const { locale } = useViewer();
  const viewer = { locale, timeZone };
  const credits = (amount: number) => formatCredits(amount, { locale });
  const { total, previousTotal, period, comparedWith } = summary;
  const lastOf = (end: Date) => new Date(Math.max(end.getTime() - 1, 0));
  const days = (period.to.getTime() - period.from.getTime()) / DAY_MS;
  const before = daysInWords(comparedWith, now, viewer);

  const used: Answer = {
    label: inPeriod ? "Used this period" : `Used ${daysInWords(period, now, viewer)}`,
    value: credits(total.credits),
    why:
      previousTotal > 0
        ? `${formatPercent(total.credits / previousTotal - 1, { locale, sign: "always" })} against ${credits(previousTotal)}, ${before}`
        : `nothing to compare with, ${before}`,
  };
  const pace: Answer = {
    label: days > 1 ? "A day, on average" : "Calls",
    value: credits(days > 1 ? total.credits / days : total.calls),
    why: days > 1 ? `${credits(total.calls)} ${total.calls === 1 ? "call" : "calls"} in all` : undefined,
  };

  const { expected } = series;
  const largest = summary.events.find((line) => line.credits > 0);
  const share = largest && total.credits > 0 ? largest.credits / total.credits : 0;
  const last: Answer | null =
    inPeriod && expected && asked.period.to > now
      ? {
          label: `Expected by ${formatTime(lastOf(asked.period.to), viewer, { style: "longDay" })}`,
          value: `about ${credits(roundForWords(expected.about))}`,
          why: `${credits(roundForWords(expected.low))} to ${credits(roundForWords(expected.high))} in 8 of 10 outcomes, going by the last four weeks`,
        }
      : largest
        ? {
            label: "Most of it",
            value: nameOf(largest, "event"),
            why: `${creditsInWords(largest.credits, locale)}, ${formatPercent(share, { locale })}`,
          }
        : null;
  return (
    <div suppressHydrationWarning>
      <Answers items={last ? [used, pace, last] : [used, pace]} />
    </div>
  );
}
