// Which time the usage page shows: what its address says, and which instants that means where somebody is.
import { describe, expect, it } from "vitest";
import {
  addressOf,
  askedBy,
  billingPeriodOf,
  type Choice,
  choiceOf,
  complaintOf,
} from "~/app/[org]/billing/usage/choice";

const now = new Date("2026-03-10T09:30:00Z");
const usual: Choice = { range: "period", by: "event", from: "", to: "" };
const read = (address: string) => choiceOf(new URLSearchParams(address));

describe("the address", () => {
  it("keeps what is chosen, and leaves out what is as usual", () => {
    expect(addressOf(usual)).toBe("");
    const own: Choice = { range: "custom", by: "project", from: "2026-02-01", to: "2026-02-28" };
    expect(read(addressOf(own))).toEqual(own);
    expect(read(addressOf({ ...usual, range: "90d", by: "key" }))).toEqual({ ...usual, range: "90d", by: "key" });
  });

  it("that says what cannot be is read as usual", () => {
    expect(read("range=century&by=mood")).toEqual(usual);
    expect(read("range=custom&from=2026-02-30&to=2026-03-01").range).toBe("period");
    expect(read("range=custom&from=0001-01-01&to=2026-03-01").range).toBe("period");
    expect(read("range=custom&from=2026-02-01")).toMatchObject({ range: "period", to: "" });
  });
});

describe("days of one's own", () => {
  it("are a first and a last day, in order, two years at most, and have begun", () => {
    const today = "2026-03-10";
    expect(complaintOf({ from: "2026-03-01", to: "2026-03-10" }, today)).toBeNull();
    expect(complaintOf({ from: "2026-03-01", to: "" }, today)).toMatch(/first and a last/);
    expect(complaintOf({ from: "2026-03-02", to: "2026-03-01" }, today)).toMatch(/after the last/);
    expect(complaintOf({ from: "2026-03-11", to: "2026-03-12" }, today)).toMatch(/yet to come/);
    expect(complaintOf({ from: "2024-01-01", to: "2026-03-01" }, today)).toMatch(/Two years/);
  });
});

describe("the time that is asked for", () => {
  const period = { from: new Date("2026-02-14T11:23:07Z"), to: new Date("2026-03-14T11:23:07Z") };
  const asked = (choice: Partial<Choice>, zone = "UTC", billing: typeof period | null = period) =>
    askedBy({ ...usual, ...choice }, billing, now, zone);

  it("is the billing period from instant to instant, and without one thirty whole days", () => {
    expect(asked({})).toEqual({ period, step: "day" });
    expect(asked({}, "UTC", null).period).toEqual({
      from: new Date("2026-02-09T00:00:00Z"),
      to: new Date("2026-03-11T00:00:00Z"),
    });
  });

  it("is whole days of the zone, today included, whatever its clocks did in between", () => {
    // Los Angeles put its clocks forward on the 8th.
    expect(asked({ range: "7d" }, "America/Los_Angeles").period).toEqual({
      from: new Date("2026-03-04T08:00:00Z"),
      to: new Date("2026-03-11T07:00:00Z"),
    });
    expect(asked({ range: "30d" }, "Asia/Kathmandu").period.from).toEqual(new Date("2026-02-08T18:15:00Z"));
    const own = { range: "custom", from: "2026-02-01", to: "2026-12-31" } as const;
    expect(asked(own, "Asia/Kolkata").period).toEqual({
      from: new Date("2026-01-31T18:30:00Z"),
      to: new Date("2026-03-10T18:30:00Z"),
    });
  });

  it("is told by the hour for up to two days, by the day for a quarter, by the week beyond", () => {
    const step = (from: string) => asked({ range: "custom", from, to: "2026-03-10" }).step;
    expect(step("2026-03-10")).toBe("hour");
    expect(step("2026-03-09")).toBe("hour");
    expect(step("2026-03-08")).toBe("day");
    expect(asked({ range: "90d" }).step).toBe("day");
    expect(step("2025-11-01")).toBe("week");
  });
});

describe("the billing period", () => {
  const subscription = { currentPeriodStart: new Date("2026-03-01"), currentPeriodEnd: new Date("2026-04-01") };
  const of = (at: Date) => billingPeriodOf(subscription as Parameters<typeof billingPeriodOf>[0], at);

  it("is the subscription's while it runs", () => {
    expect(of(now)).toEqual({ from: subscription.currentPeriodStart, to: subscription.currentPeriodEnd });
    expect(of(new Date("2026-04-01"))).toBeNull();
    expect(of(new Date("2026-02-28"))).toBeNull();
    expect(billingPeriodOf(null, now)).toBeNull();
  });
});
