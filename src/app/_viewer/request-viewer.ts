// Who looks, as far as a request tells: the locale that numbers and dates are written in, and the zone of an earlier visit.
import type { Viewer } from "~/components/billing/format";

/** English locales that every browser and Node write alike; what differed would flicker when the page comes alive. */
const ENGLISH = ["en-US", "en-GB", "en-AU", "en-CA", "en-IN", "en-NZ", "en-ZA", "en-IE"];

/** The pages' words are English, so numbers and dates follow the reader's own English; others read day before month. */
export function localeOf(acceptLanguage: string | null): string {
  const wanted = (acceptLanguage ?? "").split(",").map((part) => (part.split(";")[0] ?? "").trim());
  const first = wanted.find((tag) => /^[a-z]{2,3}(-|$)/i.test(tag));
  if (!first) return "en-US";
  const own = ENGLISH.find((locale) => locale.toLowerCase() === first.toLowerCase());
  if (own) return own;
  return first.toLowerCase().startsWith("en") ? "en-US" : "en-GB";
}

/** A zone that Intl knows, else UTC: the cookie is whatever the browser sends. */
export function timeZoneOf(cookie: string | undefined): string {
  if (!cookie) return "UTC";
  try {
    return new Intl.DateTimeFormat("en", { timeZone: cookie }).resolvedOptions().timeZone;
  } catch {
    return "UTC";
  }
}

export function viewerOf(request: { acceptLanguage: string | null; timeZoneCookie: string | undefined }): Viewer {
  return { locale: localeOf(request.acceptLanguage), timeZone: timeZoneOf(request.timeZoneCookie) };
}
