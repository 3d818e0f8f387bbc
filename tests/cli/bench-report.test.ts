// What the bench makes of its rounds: quantiles, medians, ratios; and the answers that its HTTP connection reads.
import { describe, expect, it } from "vitest";
import { quantile, type Round, runCallers } from "~/cli/bench/callers";
import { parseAnswer } from "~/cli/bench/http-connection";
import { type MeasuredCell, median, ratiosOf } from "~/cli/bench/report";

const cell = (operationsPerSecond: number, p99Ms = 10): MeasuredCell => {
  const median: Round = { operations: 1, operationsPerSecond, p50Ms: p99Ms / 2, p99Ms };
  return { title: "", section: "", callers: 1, batch: 1, median, rounds: [median] };
};

describe("quantiles and medians", () => {
  it("are by nearest rank, and of an even number the middle of two", () => {
    expect(quantile([1, 2, 3, 4], 0.5)).toBe(2);
    expect(
      quantile(
        Array.from({ length: 100 }, (_, index) => index + 1),
        0.99,
      ),
    ).toBe(99);
    expect(quantile([], 0.5)).toBeNaN();
    expect(median([5, 1, 3])).toBe(3);
    expect(median([1, 9, 2, 4])).toBe(3);
    expect(median([])).toBeNaN();
  });
});

describe("ratios", () => {
  it("divide medians, throughput by throughput and latency by latency", () => {
    const ratios = ratiosOf({ oursHot32: cell(900, 4), limitHot32: cell(100, 20), naiveHot32: cell(10) });
    expect(ratios).toMatchObject({ hot32: 9, hotVsNaive: 90, p99HotVsLimit: 0.2 });
  });

  it("take the worst point of a curve", () => {
    const curve = { lots1: cell(100), lots20: cell(80), lots220: cell(95) };
    expect(ratiosOf(curve).growthLots).toBe(0.8);
    expect(ratiosOf({ ...curve, lots20: cell(99) }).growthLots).toBe(0.95);
  });

  it("take the lesser of two pairs", () => {
    const small = { eventsStoredEmpty: cell(1000), eventsProcessedEmpty: cell(50) };
    expect(ratiosOf({ ...small, eventsStoredMany: cell(950), eventsProcessedMany: cell(45) }).growthEvents).toBe(0.9);
    expect(ratiosOf({ ...small, eventsStoredMany: cell(800), eventsProcessedMany: cell(60) }).growthEvents).toBe(0.8);
    expect(ratiosOf({ ...small, eventsStoredMany: cell(800) }).growthEvents).toBeNull();
  });

  it("are null where a cell was not measured", () => {
    expect(ratiosOf({ oursHot32: cell(1) }).hot32).toBeNull();
    expect(ratiosOf({ lots1: cell(1), lots220: cell(1) }).growthLots).toBeNull();
  });
});

describe("callers", () => {
  it("count what is answered within the window, and know of everything that was answered", async () => {
    let asked = 0;
    const result = await runCallers({ callers: 3, warmUpMs: 5, measureMs: 30 }, async () => {
      asked++;
      await new Promise((resolve) => setTimeout(resolve, 1));
      return 10;
    });
    expect(result.answered).toBe(asked * 10);
    expect(result.operations).toBeGreaterThan(0);
    expect(result.operations).toBeLessThanOrEqual(result.answered);
  });

  it("wait for a first answer that takes longer than the window", async () => {
    const slow = () => new Promise<number>((resolve) => setTimeout(() => resolve(1), 50));
    const result = await runCallers({ callers: 1, warmUpMs: 0, measureMs: 1 }, slow);
    expect(result).toMatchObject({ operations: 1, answered: 1 });
    expect(result.operationsPerSecond).toBeLessThan(25);
  });

  it("stop with the first failure", async () => {
    let asked = 0;
    const failing = async () => {
      if (++asked > 5) throw new Error("out of credits");
      return 1;
    };
    await expect(runCallers({ callers: 2, warmUpMs: 0, measureMs: 10_000 }, failing)).rejects.toThrow("out of credits");
    expect(asked).toBeLessThan(10);
  });
});

describe("an answer over HTTP", () => {
  const parts = (text: string) => Array.from(text, (_, index) => text.slice(0, index));

  it("is read by its length", () => {
    const text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    expect(parseAnswer(text)).toEqual({ status: 200, body: "hello" });
    for (const part of parts(text)) expect(parseAnswer(part)).toBeNull();
  });

  it("is read chunk by chunk", () => {
    const text = "HTTP/1.1 402 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nb\r\n, how are y\r\n0\r\n\r\n";
    expect(parseAnswer(text)).toEqual({ status: 402, body: "hello, how are y" });
    for (const part of parts(text)) expect(parseAnswer(part)).toBeNull();
  });
});
