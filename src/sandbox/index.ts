// Stripe on your own machine: one call starts it, one call stops it.
import type { AddressInfo } from "node:net";
import { Deliverer } from "./delivery";
import { expireSession } from "./engine/checkout";
import { advanceInvoice } from "./engine/invoicing";
import { advanceSubscription, expireIncomplete, warnOfTrialEnd } from "./engine/subscription";
import { KEY_LIFE_SECONDS } from "./http/api";
import { makeServer } from "./http/server";
import { startMailServer } from "./mailbox";
import { World } from "./world";

export interface SandboxOptions {
  /** 0 takes any free port. */
  port: number;
  /** Where mail is caught; left out: no mail server. 0 takes any free port. */
  smtpPort?: number;
  /** Where state is kept; left out: in memory only. */
  dataDir?: string;
  /** The only key that the API accepts. */
  secretKey: string;
  /** Starts with the global clock frozen at this instant (unix seconds), unless it was set before. */
  now?: number;
  /** Where browsers reach the sandbox, if not at 127.0.0.1 and its port. */
  publicUrl?: string;
  /** How long renewal invoices stay drafts. Stripe and here: an hour. */
  draftSeconds?: number;
  /** Days from each failed attempt to the next. Here: 3, 5, 7. */
  retryDays?: number[];
}

export interface Sandbox {
  url: string;
  port: number;
  /** `smtp://127.0.0.1:port`, or null without a mail server. */
  smtpUrl: string | null;
  smtpPort: number | null;
  close(): Promise<void>;
}

const TICK_MS = 500;

function nameJobs(world: World): void {
  const { scheduler } = world;
  scheduler.on("subscription.advance", (id) => advanceSubscription(world, id));
  scheduler.on("subscription.expire", (id) => expireIncomplete(world, id));
  scheduler.on("subscription.trial_will_end", (id) => warnOfTrialEnd(world, id));
  scheduler.on("invoice.finalize", (id) => advanceInvoice(world, id));
  scheduler.on("invoice.retry", (id) => advanceInvoice(world, id));
  scheduler.on("session.expire", (id) => void expireSession(world, id));
}

/** Idempotency keys live for a day. */
function forgetOldAnswers(world: World): void {
  const oldest = Math.floor(Date.now() / 1000) - KEY_LIFE_SECONDS;
  world.store.transaction(() => {
    for (const { id, created } of [...world.answers.values()]) if (created <= oldest) world.answers.remove(id);
  });
}

/** Starts a sandbox on 127.0.0.1. Rejects when a port is taken. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  if (!options.secretKey.startsWith("sk_test_"))
    throw new Error("The sandbox only takes a key that starts with sk_test_");
  const world = new World({
    dataDir: options.dataDir,
    draftSeconds: options.draftSeconds ?? 3600,
    retryDays: options.retryDays ?? [3, 5, 7],
  });
  nameJobs(world);
  forgetOldAnswers(world);
  if (options.now !== undefined && world.clock.frozenAt() === null) world.clock.freeze(options.now);
  const deliverer = new Deliverer(world);
  const server = makeServer({ world, deliverer, secretKey: options.secretKey });
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(options.port, "127.0.0.1", () => resolve());
    });
  } catch (error) {
    await deliverer.close();
    world.store.close();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  world.url = options.publicUrl?.replace(/\/$/, "") ?? `http://127.0.0.1:${port}`;
  const stop = async () => {
    clearInterval(ticking);
    await deliverer.close();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    world.store.close();
  };
  const ticking = setInterval(() => world.scheduler.runDue(null, world.clock.global()), TICK_MS);
  try {
    const mail = options.smtpPort === undefined ? null : await startMailServer(world, options.smtpPort);
    return {
      url: world.url,
      port,
      smtpPort: mail?.port ?? null,
      smtpUrl: mail && `smtp://127.0.0.1:${mail.port}`,
      close: async () => {
        await Promise.all([mail?.close(), stop()]);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
