// The locale and zone that a request asks for.
import { describe, expect, it } from "vitest";
import { localeOf, timeZoneOf } from "~/app/_viewer/request-viewer";

describe("localeOf", () => {
  it("keeps the reader's own English", () => {
    expect(localeOf("en-GB,en;q=0.9")).toBe("en-GB");
    expect(localeOf("EN-us")).toBe("en-US");
  });

  it("writes for readers of other languages with the day before the month", () => {
    expect(localeOf("de-DE,de;q=0.9,en;q=0.8")).toBe("en-GB");
  });

  it("falls back where nothing useful is said", () => {
    expect(localeOf(null)).toBe("en-US");
    expect(localeOf("*")).toBe("en-US");
    expect(localeOf("en-ZZ")).toBe("en-US");
  });
});

describe("timeZoneOf", () => {
  it("keeps a zone that exists", () => {
    expect(timeZoneOf("Europe/Berlin")).toBe("Europe/Berlin");
  });

  it("takes UTC for anything else", () => {
    expect(timeZoneOf("Mars/Olympus")).toBe("UTC");
    expect(timeZoneOf(undefined)).toBe("UTC");
  });
});
