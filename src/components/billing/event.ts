// How an event of Stripe's stands, in words. A colour only where somebody must act.
import type { StateTone } from "../ui/state";

export const EVENT_WORDS = {
  received: { word: "waiting", tone: "plain" },
  processing: { word: "being done", tone: "plain" },
  done: { word: "done", tone: "plain" },
  ignored: { word: "ignored", tone: "quiet" },
  refused: { word: "refused", tone: "quiet" },
  quarantined: { word: "quarantined", tone: "warn" },
  failed: { word: "tried again", tone: "warn" },
  dead: { word: "dead", tone: "danger" },
} as const satisfies Record<string, { word: string; tone: StateTone }>;

export type EventStatus = keyof typeof EVENT_WORDS;

/** Whether a person may process it anew: everything that is not being done or waiting to be. */
export function mayReplay(status: EventStatus): boolean {
  return status !== "received" && status !== "processing";
}

/** Whether a person may put it aside. */
export function mayIgnore(status: EventStatus): boolean {
  return status === "dead" || status === "quarantined";
}

/** "0.21 s", "4 min", "2 h": how long it took from its receipt. */
export function tookInWords(from: Date, to: Date, locale: string): string {
  const ms = Math.max(0, to.getTime() - from.getTime());
  const number = (value: number, digits: number) =>
    new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
  if (ms < 60_000) return `${number(ms / 1000, 2)} s`;
  if (ms < 3_600_000) return `${number(ms / 60_000, 0)} min`;
  return `${number(ms / 3_600_000, 0)} h`;
}
