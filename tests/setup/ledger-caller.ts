// A process of its own that takes credits: it says that it is ready, waits for its orders, makes all calls at once and
// reports what became of each.
import { consumeCredits } from "~/server/billing/credits";
import { disconnect } from "~/server/db";

export interface CallerOrders {
  organizationId: string;
  eventName: string;
  keys: string[];
}

export interface CallerReport {
  key: string;
  answer?: { transactionId: string; consumed: number; available: number; replayed: boolean };
  code?: string;
}

async function work({ organizationId, eventName, keys }: CallerOrders): Promise<void> {
  const call = async (idempotencyKey: string): Promise<CallerReport> => {
    try {
      const request = { organizationId, eventName, quantity: 1, idempotencyKey, actor: "caller", now: new Date() };
      return { key: idempotencyKey, answer: await consumeCredits(request) };
    } catch (error) {
      return { key: idempotencyKey, code: (error as { code?: string }).code ?? String(error) };
    }
  };
  const reports = await Promise.all(keys.map(call));
  await disconnect();
  process.send?.(reports, () => process.disconnect());
}

process.once("message", (orders) => void work(orders as CallerOrders));
process.send?.("ready");
