import { describe, expect, it } from "vitest";
import type { AccountState } from "~/domain/account";
import { Remembered } from "~/server/billing/ledger/remembered";
import { emptyAccount } from "../setup/accounts";

const MOST = 100_000;

function account(number: number, lots = 0): AccountState {
  return emptyAccount({ organizationId: `organization ${number}`, lots: Array(lots) }).state;
}

const has = (remembered: Remembered, number: number) => remembered.find(`organization ${number}`) !== undefined;

describe("what a process remembers", () => {
  it("is bounded: of accounts that nobody uses, the first goes first", () => {
    const remembered = new Remembered();
    for (let number = 1; number <= MOST + 3; number++) remembered.keep(account(number));
    expect([1, 2, 3, 4, MOST + 3].map((number) => has(remembered, number))).toEqual([false, false, false, true, true]);
  });

  it("keeps what is used longer than what is not", () => {
    const remembered = new Remembered();
    for (let number = 1; number <= MOST; number++) remembered.keep(account(number));
    remembered.find("organization 1");
    for (let number = 1; number <= 3; number++) remembered.keep(account(MOST + number));
    expect([1, 2, 3, 4, 5].map((number) => has(remembered, number))).toEqual([true, false, false, false, true]);
  });

  it("stays bounded where everything is used", () => {
    const remembered = new Remembered();
    for (let number = 1; number <= MOST; number++) remembered.keep(account(number));
    for (let number = 1; number <= MOST; number++) remembered.find(`organization ${number}`);
    remembered.keep(account(MOST + 1));
    const kept = Array.from({ length: MOST + 1 }, (_, index) => has(remembered, index + 1)).filter(Boolean);
    expect(kept).toHaveLength(MOST);
  });

  it("is bounded by all lots, too: few accounts with many of them take as much room", () => {
    const remembered = new Remembered();
    for (let number = 1; number <= 3002; number++) remembered.keep(account(number, 200));
    expect([1, 2, 3, 3002].map((number) => has(remembered, number))).toEqual([false, false, true, true]);
    // What grows is counted as it is then, and what is forgotten not any more.
    remembered.forget("organization 3002");
    remembered.keep(account(3003, 199));
    expect([3, 4].map((number) => has(remembered, number))).toEqual([true, true]);
    remembered.keep(account(3004, 2));
    expect([3, 4, 5, 3003, 3004].map((number) => has(remembered, number))).toEqual([true, true, false, true, true]);
  });

  it("leaves out an account with so many lots that it would crowd out hundreds, also one that has grown", () => {
    const remembered = new Remembered();
    remembered.keep(account(1, 201));
    remembered.keep(account(2, 200));
    expect([has(remembered, 1), has(remembered, 2)]).toEqual([false, true]);
    const grown = remembered.find("organization 2")?.state ?? account(2);
    grown.lots.push(...Array(1));
    remembered.keepWithinBounds(grown);
    expect(has(remembered, 2)).toBe(false);
  });
});
