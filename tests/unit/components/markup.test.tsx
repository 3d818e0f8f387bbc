// What the components render on the server: names that people and tests look for, and states that end up in words.
import { renderToStaticMarkup } from "react-dom/server";
import { describe, expect, it } from "vitest";
import { BalanceAnswers } from "~/components/billing/balance-answers";
import { CreditStrip } from "~/components/billing/credit-strip";
import { EventsTable } from "~/components/billing/events-table";
import { HistoryTable } from "~/components/billing/history-table";
import { HoldsTable } from "~/components/billing/holds-table";
import { EndedLots, LotsTable } from "~/components/billing/lots-table";
import { PacksList } from "~/components/billing/packs-list";
import { PublicPlanGrid } from "~/components/billing/plan-grid";
import { SignInForm } from "~/components/billing/sign-in-form";
import { SubscriptionPanel } from "~/components/billing/subscription-panel";
import { TransactionsTable } from "~/components/billing/transactions-table";
import { UsageTable } from "~/components/billing/usage-table";
import { Attention } from "~/components/ui/attention";
import { initialsOf } from "~/components/ui/avatar";
import { Button } from "~/components/ui/button";
import { Field } from "~/components/ui/field";
import { Input } from "~/components/ui/input";

const now = new Date("2026-01-22T12:00:00Z");

describe("controls", () => {
  it("a field names its input and wires hint and error", () => {
    const html = renderToStaticMarkup(
      <Field label="Email" hint="At work" error="Not an address">
        <Input type="email" />
      </Field>,
    );
    const id = /<label for="([^"]+)"/.exec(html)?.[1];
    expect(html).toContain(`id="${id}"`);
    expect(html).toContain(`aria-describedby="${id}-hint ${id}-error"`);
    expect(html).toContain('aria-invalid="true"');
  });

  it("a button keeps its name while it works", () => {
    const html = renderToStaticMarkup(<Button loading>Save</Button>);
    expect(html).toContain("Save");
    expect(html).toContain('aria-busy="true"');
    expect(html).not.toContain(' disabled="');
  });

  it("attention is absent when there is nothing", () => {
    expect(renderToStaticMarkup(<Attention items={[]} />)).toBe("");
  });

  it("initials", () => {
    expect(["Maya Okafor", "ada@example.com", "jo van der Berg", ""].map(initialsOf)).toEqual(["MO", "A", "JB", "?"]);
  });
});

describe("billing", () => {
  it("the strip says everything in one sentence, and draws notes by amount", () => {
    const html = renderToStaticMarkup(
      <CreditStrip lots={[{ id: "a", kind: "purchased", label: "Pack", amount: 2000 }]} held={100} />,
    );
    expect(html).toContain("2,100 credits. In the order they will be spent: 2,000 purchased. Set aside: 100 held.");
    expect(html).toContain("--n:2000");
  });

  it("the strip leaves out what is free where all is set aside, and says what is owed beside what is left", () => {
    const html = renderToStaticMarkup(<CreditStrip lots={[]} held={100} empty="No credits" />);
    expect(html).toContain("100 credits. Set aside: 100 held.");
    expect(html).not.toContain("No credits");
    expect(renderToStaticMarkup(<CreditStrip lots={[]} empty="No credits" />)).toContain("No credits<");
    const answers = <BalanceAnswers available={0} held={100} owed={1200} runway={null} nextCharge={null} />;
    expect(renderToStaticMarkup(answers)).toContain("0 to spend now, 100 held, 1,200 owed");
  });

  it("a use whose units did not all cost the same has a dash that says why, never an empty cell", () => {
    const rows = [
      { id: "a", name: "whole", unitCost: 2, quantity: 10, credits: 20 },
      { id: "b", name: "partly given back", unitCost: null, quantity: 10, credits: 17 },
    ];
    const body = /<tbody.*<\/tbody>/s.exec(renderToStaticMarkup(<UsageTable rows={rows} swatches />))?.[0];
    expect(body).toContain('title="Not all units cost the same: the rate changed, or a part was given back"');
    expect(body).not.toMatch(/<td[^>]*><\/td>/);
  });

  it("what goes back is negative, with its tax; what waits to be paid is paid by whoever may", () => {
    const line = { description: "Pro, monthly", currency: "usd", occurredAt: now, number: "A-1" };
    const items = [
      { ...line, id: "a", kind: "credit_note", status: "issued", amount: -1_000, tax: -94 },
      { ...line, id: "b", kind: "invoice", status: "failed", amount: 4_900, tax: 460 },
      { ...line, id: "c", kind: "invoice", status: "paid", amount: 4_900, tax: 460 },
      { ...line, id: "d", kind: "refund", status: "pending", amount: -500, tax: 0 },
    ];
    const html = renderToStaticMarkup(<HistoryTable items={items} onPay={() => {}} />);
    for (const text of ["Credit note", "−$10.00", "−$0.94", "issued", "on its way", "$4.60"])
      expect(html).toContain(text);
    // In the row, and once more where the row is folded.
    expect(html.match(/aria-label="Pay A-1"/g)).toHaveLength(2);
    expect(renderToStaticMarkup(<HistoryTable items={items} />)).not.toContain("Pay A-1");
  });

  it("an event that is stuck can be replayed from its row, one that is done only from within", () => {
    const event = {
      type: "invoice.paid",
      organization: null,
      attempts: 8,
      outcome: "No organization",
      processedAt: now,
    };
    const html = renderToStaticMarkup(
      <EventsTable
        items={[
          { ...event, id: "evt_dead", status: "dead", receivedAt: new Date(now.getTime() - 210) },
          { ...event, id: "evt_done", status: "done", receivedAt: new Date(now.getTime() - 120_000) },
        ]}
        selectedId={null}
        hrefOf={(id) => `/events/${id}`}
        onReplay={() => {}}
        replayingId={null}
      />,
    );
    expect([...html.matchAll(/aria-label="Replay (\w+)"/g)].map((match) => match[1])).toEqual(["evt_dead"]);
    for (const text of ["dead", "8 tries", "unknown", "0.21 s", "2 min", "/events/evt_done"])
      expect(html).toContain(text);
  });

  it("packs are bought by name, and not at all without the right", () => {
    const packs = [{ id: "p", credits: 10_000, unitAmount: 8900, currency: "usd" }];
    expect(renderToStaticMarkup(<PacksList packs={packs} onBuy={() => {}} />)).toContain(
      'aria-label="Buy 10,000 credits"',
    );
    expect(renderToStaticMarkup(<PacksList packs={packs} />)).not.toContain("<button");
  });

  it("each plan has its button in public", () => {
    const plan = {
      id: "pro",
      name: "Pro",
      features: ["15 members"],
      credits: 6000,
      creditInterval: "month" as const,
      prices: [{ interval: "month" as const, currency: "usd", unitAmount: 4900 }],
    };
    const html = renderToStaticMarkup(<PublicPlanGrid plans={[plan]} interval="month" currency="USD" />);
    expect(html).toContain("Choose Pro");
    expect(html).toContain("$49");
    expect(renderToStaticMarkup(<PublicPlanGrid plans={[plan]} interval="year" currency="USD" />)).toContain(
      "not sold by the year",
    );
  });

  it("a lot that runs out soon says so", () => {
    const html = renderToStaticMarkup(
      <LotsTable
        now={now}
        lots={[
          {
            id: "a",
            kind: "subscription",
            label: "Pro, January",
            expiresAt: new Date("2026-02-01T00:00:00Z"),
            granted: 6000,
            left: 6000,
          },
        ]}
      />,
    );
    expect(html).toContain("Feb 1, in 10 days");
    expect(html).toContain("6,000 of 6,000 left");
  });

  it("what is set aside of a lot is told, and a lot with nothing else has no place in the order", () => {
    const lot = { kind: "purchased" as const, expiresAt: null, granted: 2500, left: 2500 };
    const html = renderToStaticMarkup(
      <LotsTable
        now={now}
        lots={[
          { ...lot, id: "a", label: "Frozen", frozen: 2500 },
          { ...lot, id: "b", label: "First", held: 40 },
          { ...lot, id: "c", label: "Second" },
        ]}
      />,
    );
    expect(html).toContain("2,500 frozen");
    expect(html).toContain("40 held");
    expect([...html.matchAll(/(set aside|1st|2nd|3rd)</g)].map((match) => match[1])).toEqual([
      "set aside",
      "1st",
      "2nd",
    ]);
  });

  it("a lot that was refunded says so, and where its credits went", () => {
    const lot = { id: "a", label: "Pack", granted: 2500, spent: 1500, expired: 0, endedAt: now };
    const html = renderToStaticMarkup(
      <EndedLots lots={[{ ...lot, takenBack: 1000, how: "refunded" }]} summary="Lots that have ended" />,
    );
    expect(html).toContain("refunded");
    expect(html).toContain("Taken back");
    expect(html).toContain("1,000");
    expect(html).not.toContain("Given away");
  });

  it("a hold is released only by whom it is offered to", () => {
    const hold = {
      id: "h",
      holder: "batch-worker",
      eventName: "ai_inference",
      amount: 800,
      captured: 275,
      remaining: 525,
    };
    const holds = [{ ...hold, createdAt: now, leaseEndsAt: now }];
    expect(renderToStaticMarkup(<HoldsTable holds={holds} />)).not.toContain("<button");
    const html = renderToStaticMarkup(<HoldsTable holds={holds} onRelease={() => {}} />);
    expect(html).toContain("Release the hold of batch-worker");
    expect(html).toContain("275 of 800");
  });

  it("transactions stand under their day, with a real minus", () => {
    const html = renderToStaticMarkup(
      <TransactionsTable
        now={now}
        items={[
          {
            id: "t",
            type: "consume",
            eventName: "ai_inference",
            quantity: 15,
            amount: -375,
            balanceAfter: 18_465,
            createdAt: now,
            lots: 2,
            href: "?t",
          },
        ]}
      />,
    );
    expect(html).toContain("Today, January 22");
    expect(html).toContain("15 × ai_inference");
    expect(html).toContain("−375");
    expect(html).toContain("2 lots");
  });

  it("a subscription that was cancelled says when it ends", () => {
    const html = renderToStaticMarkup(
      <SubscriptionPanel
        subscription={{
          planName: "Pro",
          status: "active",
          interval: "month",
          currentPeriodStart: new Date("2026-01-01T00:00:00Z"),
          currentPeriodEnd: new Date("2026-02-01T00:00:00Z"),
          cancelsAt: new Date("2026-02-01T00:00:00Z"),
        }}
      />,
    );
    expect(html).toContain("ends on Feb 1, 2026, not renewed");
  });

  it("signing in has a label and a button in plain words, and demo persons only in the demo", () => {
    const html = renderToStaticMarkup(<SignInForm onEmail={async () => {}} />);
    expect(html).toContain(">Email<");
    expect(html).toContain("Email me a sign-in link");
    expect(html).not.toContain("Sign in as");
  });
});
