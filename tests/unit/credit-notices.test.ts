// What somebody should know of an organization's credits: said once, calmly, with what to do.
import { describe, expect, it } from "vitest";
import { defaultViewer } from "~/components/billing/format";
import { creditNotices, isSaidByNotices } from "../../src/app/[org]/billing/_shared/credit-notices";

const since = new Date("2026-11-12T09:00:00Z");
const calm = { alerts: [], suspension: null, balance: { debt: 0 }, lots: [] };
const notices = (change: Partial<Parameters<typeof creditNotices>[0]>) =>
  creditNotices({ ...calm, ...change }, defaultViewer);
const alert = (kind: string) => ({ id: kind, kind, message: "for whoever runs the platform", createdAt: since });

describe("notices", () => {
  it("are none where all is well, or where it is somebody else's matter", () => {
    expect(notices({ alerts: [alert("payment_failed")] })).toEqual([]);
    expect(isSaidByNotices(alert("payment_failed"))).toBe(false);
  });

  it("tell a debt with its amount, and that buying helps", () => {
    const [debt, ...rest] = notices({ alerts: [alert("credits_owed")], balance: { debt: 1200 } });
    expect(rest).toEqual([]);
    expect(debt).toMatchObject({ level: "danger", title: "1,200 credits are owed.", buy: true });
    expect(debt?.text).toMatch(/the next ones that come pay for them first\.$/);
  });

  it("tell a suspension with its reason and day, once", () => {
    const suspension = { since, reason: "The payment was refunded" };
    const [one, ...rest] = notices({ alerts: [alert("account_suspended")], suspension });
    expect(rest).toEqual([]);
    expect(one?.text).toMatch(/^The payment was refunded\. Requests that need credits are refused since November 12/);
  });

  it("count disputes, and what they froze of all lots", () => {
    const [one] = notices({ alerts: [alert("payment_disputed")], lots: [{ frozen: 2000 }, { frozen: 500 }] as never });
    expect(one).toMatchObject({ level: "warn", title: "A payment is disputed." });
    expect(one?.text).toContain("2,500 credits that it paid for cannot be spent");
    const two = notices({ alerts: [alert("payment_disputed"), { ...alert("payment_disputed"), id: "2" }] });
    expect(two.map(({ title }) => title)).toEqual(["2 payments are disputed."]);
  });

  it("say no alert twice: each that they have words for is left out elsewhere", () => {
    const kinds = ["credits_owed", "account_suspended", "payment_disputed", "dispute_lost"];
    expect(kinds.every((kind) => isSaidByNotices({ kind }))).toBe(true);
  });
});
