// Work on held credits: always released, its lease kept, and no part of it lost from sight.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { holding } from "~/client/hold";
import { BillingClientError } from "~/client/index";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ended = () => {
  const details = { holdId: "h", reason: "lease_ended" as const, endedAt: new Date(0), captured: 0, released: 5 };
  return new BillingClientError("HOLD_ENDED", "ended", details);
};

/** The steps of a hold, that write down when they are taken. */
function steps(
  change: { capture?: () => Promise<number>; extend?: () => Promise<void>; release?: () => Promise<void> } = {},
) {
  const log: string[] = [];
  return {
    log,
    hold: async () => {
      log.push("hold");
      return { holdId: "h" };
    },
    capture: async (_: { holdId: string }, part: number) => {
      log.push(`capture ${part}`);
      return change.capture ? change.capture() : part;
    },
    extend: async () => {
      log.push("extend");
      await change.extend?.();
    },
    release: async () => {
      log.push("release");
      await change.release?.();
    },
  };
}

describe("work on held credits", () => {
  it("reports its parts, and what is left is released at the end", async () => {
    const own = steps();
    const result = await holding(own, 60_000, async ({ hold, capture }) => {
      await capture(3);
      await capture(4);
      return hold.holdId;
    });
    expect(result).toBe("h");
    expect(own.log).toEqual(["hold", "capture 3", "capture 4", "release"]);
  });

  it("is released when it throws, and the reason is what it threw", async () => {
    const own = steps({ release: () => Promise.reject(new Error("nobody there")) });
    const failing = holding(own, 60_000, () => {
      throw new Error("the model failed");
    });
    await expect(failing).rejects.toThrow("the model failed");
    expect(own.log).toEqual(["hold", "release"]);
  });

  it("whose release fails is still done: the lease ends by itself", async () => {
    const own = steps({ release: () => Promise.reject(ended()) });
    expect(await holding(own, 60_000, () => 5)).toBe(5);
  });

  it("that is refused a hold is not begun", async () => {
    const own = { ...steps(), hold: () => Promise.reject(new Error("not enough")) };
    const work = vi.fn();
    await expect(holding(own, 60_000, work)).rejects.toThrow("not enough");
    expect(work).not.toHaveBeenCalled();
    expect(own.log).toEqual([]);
  });

  it("waits for parts that it did not wait for itself, before the release", async () => {
    let take: (amount: number) => void = () => {};
    const own = steps({ capture: () => new Promise((resolve) => (take = resolve)) });
    const working = holding(own, 60_000, ({ capture }) => {
      void capture(3);
      return "done";
    });
    await vi.advanceTimersByTimeAsync(10);
    expect(own.log).toEqual(["hold", "capture 3"]);
    take(3);
    expect(await working).toBe("done");
    expect(own.log).toEqual(["hold", "capture 3", "release"]);
  });

  it("may go on after a part that was refused: that is its own to decide", async () => {
    const own = steps({ capture: () => Promise.reject(new Error("not enough")) });
    const working = holding(own, 60_000, async ({ capture }) => {
      return capture(3).catch((error: Error) => `stopped: ${error.message}`);
    });
    expect(await working).toBe("stopped: not enough");
    await expect(holding(own, 60_000, ({ capture }) => capture(4))).rejects.toThrow("not enough");
    expect(own.log).toEqual(["hold", "capture 3", "release", "hold", "capture 4", "release"]);
  });

  it("keeps its lease while it runs, over failures to extend it, and no longer", async () => {
    let failures = 1;
    const own = steps({ extend: () => (failures-- > 0 ? Promise.reject(new Error("not now")) : Promise.resolve()) });
    let finish: () => void = () => {};
    const working = holding(own, 3_000, ({ signal }) => {
      return new Promise<boolean>((resolve) => (finish = () => resolve(signal.aborted)));
    });
    await vi.advanceTimersByTimeAsync(3_500);
    finish();
    expect(await working).toBe(false);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(own.log).toEqual(["hold", "extend", "extend", "extend", "release"]);
  });

  it("hears when its hold is lost, and asks for no more time then", async () => {
    const own = steps({ extend: () => Promise.reject(ended()) });
    const working = holding(own, 3_000, ({ signal }) => {
      return new Promise<unknown>((resolve) => signal.addEventListener("abort", () => resolve(signal.reason)));
    });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await working).toMatchObject({ code: "HOLD_ENDED" });
    expect(own.log).toEqual(["hold", "extend", "release"]);
  });
});
