// The line between the app and the sandbox, which can be held or cut: Stripe that is slow to answer, and Stripe that is down.
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import { until } from "./until";

export interface StripeLine {
  url: string;
  /** Requests are taken and get no answer, until the line is restored. */
  hold(): void;
  /** Every connection breaks, the open ones too. */
  cut(): void;
  restore(): void;
  /** Until a request of the app waits in a held line. */
  untilAsked(): Promise<void>;
  close(): Promise<void>;
}

interface Call {
  stripe: Socket;
  /** What the app has said while the line was held. */
  waiting: Buffer[];
}

/** Opens a line to a server of this machine, on a port of its own. */
export async function openStripeLine(target: string): Promise<StripeLine> {
  const { hostname, port } = new URL(target);
  const calls = new Map<Socket, Call>();
  let mode: "up" | "held" | "cut" = "up";
  const server = createServer((app) => {
    if (mode === "cut") {
      app.resetAndDestroy();
      return;
    }
    const stripe = dial(Number(port), hostname);
    const call: Call = { stripe, waiting: [] };
    calls.set(app, call);
    app.on("data", (chunk) => (mode === "held" ? call.waiting.push(chunk) : stripe.write(chunk)));
    stripe.on("data", (chunk) => app.write(chunk));
    const end = () => {
      calls.delete(app);
      app.destroy();
      stripe.destroy();
    };
    for (const socket of [app, stripe]) socket.on("error", end).on("close", end);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold() {
      mode = "held";
    },
    cut() {
      mode = "cut";
      for (const app of calls.keys()) app.resetAndDestroy();
    },
    restore() {
      mode = "up";
      for (const { stripe, waiting } of calls.values()) for (const chunk of waiting.splice(0)) stripe.write(chunk);
    },
    async untilAsked() {
      await until("a request waits for Stripe", () => [...calls.values()].some(({ waiting }) => waiting.length > 0));
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const app of calls.keys()) app.destroy();
      }),
  };
}
