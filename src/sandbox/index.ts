// Stripe on your own machine: one call starts it, one call stops it.
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Deliverer } from "./delivery";
import { expireSession } from "./engine/checkout";
import { decideByAccount } from "./engine/debits";
import { endDiscount } from "./engine/discounts";
import { decideDispute, openDisputeOfCard, passDeadline } from "./engine/dispute";
import { advanceInvoice, passDueDate } from "./engine/invoicing";
import { settleRefund } from "./engine/refund";
import { advanceManaged, advanceSchedule } from "./engine/schedule";
import { expireIncomplete, warnOfTrialEnd } from "./engine/subscription";
import { expirePendingUpdate } from "./engine/subscription-apply";
import type { AfterLastRetry } from "./engine/subscription-dunning";
import { collectAgain, expireResume } from "./engine/subscription-pause";
import { KEY_LIFE_SECONDS } from "./http/api";
import { listenerOf } from "./http/server";
import { drawingFrom } from "./ids";
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
  /** Makes ids and secrets the same in every run of the same requests. */
  seed?: string | number;
  /** Starts with the global clock frozen at this instant (unix seconds), unless it was set before. */
  now?: number;
  /** Where browsers reach the sandbox, if not at 127.0.0.1 and its port. */
  publicUrl?: string;
  /** How long renewal invoices stay drafts. Stripe and here: an hour. */
  draftSeconds?: number;
  /** Days from each failed attempt to the next. Here: 3, 5, 7. */
  retryDays?: number[];
  /** What becomes of a subscription after the last attempt. Here: it is canceled. */
  afterLastRetry?: AfterLastRetry;
}

export interface Sandbox {
  url: string;
  port: number;
  /** `smtp://127.0.0.1:port`, or null without a mail server. */
  smtpUrl: string | null;
  smtpPort: number | null;
  /** Answers requests that another server of this process has taken, as for one that stands between an app and the sandbox. */
  listener: RequestListener;
  close(): Promise<void>;
}

const TICK_MS = 500;

function nameJobs(world: World): void {
  const { scheduler } = world;
  scheduler.on("subscription.advance", (id) => advanceManaged(world, id));
  scheduler.on("schedule.advance", (id) => advanceSchedule(world, id));
  scheduler.on("subscription.update_expire", (id) => expirePendingUpdate(world, id));
  scheduler.on("subscription.resume_expire", (id) => expireResume(world, id));
  scheduler.on("subscription.collect_again", (id) => collectAgain(world, id));
  scheduler.on("subscription.expire", (id) => expireIncomplete(world, id));
  scheduler.on("subscription.trial_will_end", (id) => warnOfTrialEnd(world, id));
  scheduler.on("invoice.finalize", (id) => advanceInvoice(world, id));
  scheduler.on("invoice.retry", (id) => advanceInvoice(world, id));
  scheduler.on("invoice.overdue", (id) => passDueDate(world, id));
  scheduler.on("session.expire", (id) => void expireSession(world, id));
  scheduler.on("discount.end", (id) => endDiscount(world, id));
  scheduler.on("payment.decide", (id) => decideByAccount(world, id));
  scheduler.on("refund.settle", (id) => settleRefund(world, id));
  scheduler.on("dispute.open", (id) => openDisputeOfCard(world, id));
  scheduler.on("dispute.decide", (id) => decideDispute(world, id));
  scheduler.on("dispute.deadline", (id) => passDeadline(world, id));
}

function openWorld(options: SandboxOptions, url: string): World {
  const world = new World({
    dataDir: options.dataDir,
    draftSeconds: options.draftSeconds ?? 3600,
    retryDays: options.retryDays ?? [3, 5, 7],
    afterLastRetry: options.afterLastRetry,
    ...(options.seed !== undefined && { seed: String(options.seed) }),
  });
  moveLinks(world, url);
  nameJobs(world);
  forgetOldAnswers(world);
  if (options.now !== undefined && world.clock.frozenAt() === null) world.clock.freeze(options.now);
  return world;
}

/** Links that were handed out before lead here, also when the sandbox has moved to another port. */
function moveLinks(world: World, url: string): void {
  const before = world.settings.get("url")?.value;
  world.url = url;
  if (before === url) return;
  const moved = (link: string | null | undefined) =>
    typeof before === "string" && link?.startsWith(before) ? url + link.slice(before.length) : (link ?? null);
  world.store.transaction(() => {
    world.settings.put({ id: "url", value: url });
    for (const each of [...world.sessions.values()]) world.sessions.put({ ...each, url: moved(each.url) });
    for (const each of [...world.portalSessions.values()]) {
      world.portalSessions.put({ ...each, url: moved(each.url) ?? each.url });
    }
    for (const each of [...world.charges.values()]) {
      world.charges.put({ ...each, receipt_url: moved(each.receipt_url) });
    }
    for (const each of [...world.invoices.values()]) {
      const links = { hosted_invoice_url: moved(each.hosted_invoice_url), invoice_pdf: moved(each.invoice_pdf) };
      world.invoices.put({ ...each, ...links });
    }
  });
}

/** Idempotency keys live for a day. */
function forgetOldAnswers(world: World): void {
  const oldest = Math.floor(Date.now() / 1000) - KEY_LIFE_SECONDS;
  world.store.transaction(() => {
    for (const { id, created } of [...world.answers.values()]) if (created <= oldest) world.answers.remove(id);
  });
}

async function listen(port: number): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
  return server;
}

/** Starts a sandbox on 127.0.0.1. Rejects when a port is taken. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  if (!options.secretKey.startsWith("sk_test_")) {
    throw new Error("The sandbox only takes a key that starts with sk_test_");
  }
  // The port first: whoever holds it also writes the data directory, and two must never do so.
  const server = await listen(options.port);
  const { port } = server.address() as AddressInfo;
  const url = options.publicUrl?.replace(/\/$/, "") ?? `http://127.0.0.1:${port}`;
  const world = openWorld(options, url);
  const deliverer = new Deliverer(world);
  const listener = listenerOf({ world, deliverer, secretKey: options.secretKey });
  server.on("request", listener);
  const ticking = setInterval(
    () => drawingFrom(world.random, () => world.scheduler.runDue(null, world.clock.global())),
    TICK_MS,
  );
  const stop = async () => {
    clearInterval(ticking);
    await deliverer.close();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    world.store.close();
  };
  try {
    const mail = options.smtpPort === undefined ? null : await startMailServer(world, options.smtpPort);
    return {
      url,
      port,
      listener,
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
