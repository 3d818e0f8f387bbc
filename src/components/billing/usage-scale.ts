// The arithmetic of the daily bars: which series get a tone, where the axis ends, how high each piece stands.

export interface UsageSeries {
  key: string;
  label: string;
  /** How many it stands for, where it is what is left of many; it then comes last, however large. */
  count?: number;
}

export interface UsageDay {
  /** Calendar day, "2026-01-22"; of a week its first; of an hour its instant, "2026-01-22T13:00:00.000Z". */
  date: string;
  /** Credits by series key. */
  values: Readonly<Record<string, number>>;
  /** All credits of the day that this one is compared with. */
  previous?: number | null;
}

export interface ForecastDay {
  date: string;
  about: number;
  low: number;
  high: number;
}

export interface TonedSeries extends UsageSeries {
  tone: "s1" | "s2" | "s3" | "s4";
  /** Keys summed under this tone. */
  keys: string[];
}

const tones = ["s1", "s2", "s3", "s4"] as const;

/** The largest gets the darkest tone; from the fourth on, when there are more than four, all the rest share the last. */
export function tonesOf(series: readonly UsageSeries[], days: readonly UsageDay[]): TonedSeries[] {
  const total = (key: string) => days.reduce((sum, day) => sum + (day.values[key] ?? 0), 0);
  const sorted = series
    .map((one) => ({ ...one, total: total(one.key) }))
    .sort((a, b) => (a.count ?? 1) - (b.count ?? 1) || b.total - a.total || a.label.localeCompare(b.label));
  const named = sorted.filter((one) => one.count === undefined);
  const single = sorted.length > tones.length || named.length < sorted.length ? named.slice(0, 3) : sorted;
  const rest = sorted.slice(single.length);
  const toned = single.map((one, index) => ({
    key: one.key,
    label: one.label,
    tone: tones[index] ?? "s4",
    keys: [one.key],
  }));
  if (rest.length === 0) return toned;
  const count = rest.reduce((sum, one) => sum + (one.count ?? 1), 0);
  return [...toned, { key: "others", label: `${count} others`, tone: "s4", keys: rest.map((one) => one.key) }];
}

export function amountOf(day: UsageDay, series: TonedSeries): number {
  return series.keys.reduce((sum, key) => sum + (day.values[key] ?? 0), 0);
}

/** Credits for one, where all units cost the same; null where a rate has changed, or a part been given back. */
export function unitCostOf({ credits, quantity }: { credits: number; quantity: number }): number | null {
  return credits > 0 && quantity > 0 && credits % quantity === 0 ? credits / quantity : null;
}

const RUNNING = { hour: "this hour", day: "today", week: "this week" } as const;

/** Says what the running day is compared with: what has not happened yet is not held against it. */
export function comparedUpToNow(label: string, step: keyof typeof RUNNING = "day"): string {
  return `${label}, ${RUNNING[step]} up to the same ${step === "day" ? "time of day" : "moment"}`;
}

export function totalOf(day: UsageDay): number {
  return Object.values(day.values).reduce((sum, value) => sum + value, 0);
}

/** Marks of an axis from zero to at least `highest`, in steps of 1, 2, 2.5, 4, 5 or 8 times a power of ten; highest first. */
export function axisOf(highest: number, wanted = 4): number[] {
  if (highest <= 0) return [1, 0];
  const raw = highest / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, ([1, 2, 2.5, 4, 5, 8, 10].find((factor) => factor * power >= raw) ?? 10) * power);
  const top = Math.ceil(highest / step);
  return Array.from({ length: top + 1 }, (_, index) => (top - index) * step);
}
