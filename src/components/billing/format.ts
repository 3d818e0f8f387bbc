// How money, credits, dates and shares are written. Pure; time and place are arguments, so server and browser agree.

export interface Viewer {
  /** BCP 47, of the person who looks. */
  locale: string;
  /** IANA zone in which instants are told; "UTC" until the browser has said its own. */
  timeZone: string;
}

export const defaultViewer: Viewer = { locale: "en-US", timeZone: "UTC" };

const minus = "−";
const cache = new Map<string, Intl.NumberFormat>();

function numberFormat(locale: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = locale + JSON.stringify(options);
  const known = cache.get(key) ?? new Intl.NumberFormat(locale, options);
  cache.set(key, known);
  return known;
}

/** Digits after the point of a currency's main unit: 2 for USD, 0 for JPY, 3 for BHD. */
export function currencyDigits(currency: string): number {
  const options = numberFormat("en", { style: "currency", currency: currency.toUpperCase() }).resolvedOptions();
  return options.maximumFractionDigits ?? 2;
}

export interface Money {
  /** Integer in the currency's smallest unit. */
  amount: number;
  /** ISO 4217, in any case. */
  currency: string;
}

export interface MoneyOptions {
  locale?: string;
  /** "always" writes + before what is added. */
  sign?: "auto" | "always";
  /** Leaves out ".00", for prices in large type. */
  trim?: boolean;
}

/** "$54.07", "−$27.59", "¥5,400". */
export function formatMoney(
  money: Money,
  { locale = "en-US", sign = "auto", trim = false }: MoneyOptions = {},
): string {
  const digits = currencyDigits(money.currency);
  const units = Math.abs(money.amount) / 10 ** digits;
  const whole = trim && Number.isInteger(units);
  const text = numberFormat(locale, {
    style: "currency",
    currency: money.currency.toUpperCase(),
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: whole ? 0 : digits,
    maximumFractionDigits: digits,
  }).format(units);
  return signOf(money.amount, sign) + text;
}

/** "18,240", "−375", "+50". */
export function formatCredits(
  amount: number,
  { locale = "en-US", sign = "auto" }: { locale?: string; sign?: "auto" | "always" } = {},
): string {
  return signOf(amount, sign) + numberFormat(locale, { maximumFractionDigits: 0 }).format(Math.abs(amount));
}

/** "1 credit", "2,500 credits". */
export function creditsInWords(amount: number, locale = "en-US"): string {
  return `${formatCredits(amount, { locale })} ${Math.abs(amount) === 1 ? "credit" : "credits"}`;
}

/** A share as "63.3%"; a change with its sign as "+24.9%". */
export function formatPercent(
  share: number,
  { locale = "en-US", sign = "auto", digits = 1 }: { locale?: string; sign?: "auto" | "always"; digits?: number } = {},
): string {
  const text = numberFormat(locale, { style: "percent", maximumFractionDigits: digits }).format(Math.abs(share));
  return signOf(share, sign) + text;
}

/** Short numbers for an axis: "24k", "1.2M". */
export function formatCompact(value: number, locale = "en-US"): string {
  if (value < 1000) return numberFormat(locale, {}).format(value);
  return numberFormat(locale, { notation: "compact", maximumFractionDigits: 1 }).format(value).replace("K", "k");
}

function signOf(value: number, sign: "auto" | "always"): string {
  if (value < 0) return minus;
  return sign === "always" && value > 0 ? "+" : "";
}

/** What of an instant is told. */
export type TimeStyle =
  | "time"
  | "seconds"
  | "day"
  | "longDay"
  | "date"
  | "weekday"
  | "month"
  | "datetime"
  | "full"
  | "exact";

const day: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };
const clock: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

const timeStyles: Record<TimeStyle, Intl.DateTimeFormatOptions> = {
  time: clock,
  seconds: { ...clock, second: "2-digit" },
  day,
  longDay: { day: "numeric", month: "long" },
  date: { ...day, year: "numeric" },
  weekday: { weekday: "long", day: "numeric", month: "long" },
  month: { month: "long", year: "numeric" },
  datetime: { ...day, year: "numeric", ...clock },
  full: { weekday: "short", day: "numeric", month: "short", year: "numeric", ...clock },
  exact: { weekday: "short", day: "numeric", month: "short", year: "numeric", ...clock, second: "2-digit" },
};

const dateCache = new Map<string, Intl.DateTimeFormat>();

function dateFormat(viewer: Viewer, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = viewer.locale + viewer.timeZone + JSON.stringify(options);
  const known = dateCache.get(key) ?? new Intl.DateTimeFormat(viewer.locale, { timeZone: viewer.timeZone, ...options });
  dateCache.set(key, known);
  return known;
}

export interface TimeOptions {
  style?: TimeStyle;
  /** Says the zone: "14:20 PST". */
  zone?: boolean;
}

export function formatTime(
  at: Date,
  viewer: Viewer = defaultViewer,
  { style = "date", zone }: TimeOptions = {},
): string {
  const options = timeStyles[style];
  return dateFormat(viewer, zone ? { ...options, timeZoneName: "short" } : options).format(at);
}

/** "Jan 1 – 31", "Dec 20 – Jan 19". Both ends are days that belong to the range. */
export function formatDayRange(from: Date, to: Date, viewer: Viewer = defaultViewer): string {
  // Engines put different spaces around the dash, which the server and the browser have to agree on.
  return dateFormat(viewer, day)
    .formatRange(from, to)
    .replace(/\s*–\s*/gu, " – ");
}

/** The zone's short name at an instant: "PST", "GMT+1", "UTC". */
export function zoneName(at: Date, viewer: Viewer = defaultViewer): string {
  const parts = dateFormat(viewer, { timeZoneName: "short" }).formatToParts(at);
  return parts.find((part) => part.type === "timeZoneName")?.value ?? viewer.timeZone;
}

/** The calendar day of an instant where the viewer is, as "2026-01-22": for grouping. */
export function dayKey(at: Date, viewer: Viewer = defaultViewer): string {
  return dateFormat(
    { locale: "en-CA", timeZone: viewer.timeZone },
    { year: "numeric", month: "2-digit", day: "2-digit" },
  ).format(at);
}

/** Whole calendar days from `now` to `at` where the viewer is; negative for the past. */
export function daysUntil(at: Date, now: Date, viewer: Viewer = defaultViewer): number {
  const msPerDay = 86_400_000;
  return Math.round((Date.parse(dayKey(at, viewer)) - Date.parse(dayKey(now, viewer))) / msPerDay);
}

/** "today", "tomorrow", "in 10 days", "3 days ago", "in 5 months". */
export function formatRelative(at: Date, now: Date, viewer: Viewer = defaultViewer): string {
  const days = daysUntil(at, now, viewer);
  const words = new Intl.RelativeTimeFormat(viewer.locale, { numeric: "auto" });
  if (Math.abs(days) < 60) return words.format(days, "day");
  if (Math.abs(days) < 700) return words.format(Math.round(days / 30.44), "month");
  return words.format(Math.round(days / 365.25), "year");
}

/** "1st", "2nd", "3rd", "11th". */
export function ordinal(place: number): string {
  const rule = new Intl.PluralRules("en", { type: "ordinal" }).select(place);
  const suffix = { one: "st", two: "nd", few: "rd", other: "th", zero: "th", many: "th" }[rule];
  return `${place}${suffix}`;
}

/** "a, b and c" */
export function inWords(parts: readonly string[], locale = "en-US"): string {
  return new Intl.ListFormat(locale === "en-US" ? "en-GB" : locale, { type: "conjunction" }).format(parts);
}
