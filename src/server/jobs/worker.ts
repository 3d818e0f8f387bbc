// The worker: runs jobs from the queue and by the clock, in the web process or in one of its own.
import { Logger, type Runner, run, type TaskList } from "graphile-worker";
import { asPlatform } from "../db";
import type { JobPayloads } from "../db/enqueue";
import { env } from "../env";
import { log } from "../log";
import { carryOnBulkGrant } from "./tasks/bulk-grant";
import {
  expireCredits,
  grantSlices,
  removeFinishedEvents,
  retryQuarantinedEvents,
  settleAlerts,
  sweepStripeEvents,
  tellOfDunning,
} from "./tasks/by-the-clock";
import { closeOrganization, releaseSchedule, renameAtStripe } from "./tasks/organization-at-stripe";
import { processStripeEvent } from "./tasks/process-stripe-event";
import { reconcileHourly, reconcileOnRequest } from "./tasks/reconcile";
import { rollUpUsage } from "./tasks/roll-up-usage";
import { sendMail } from "./tasks/send-mail";

const CONCURRENCY = 4;
// Between two looks for events that a dead process left behind.
const SWEEP_EVERY_MS = 10_000;

const CRONTAB = `
* * * * * expire-credits ?jobKey=expire-credits
* * * * * settle-alerts ?jobKey=settle-alerts
* * * * * grant-slices ?jobKey=grant-slices
* * * * * tell-of-dunning ?jobKey=tell-of-dunning
* * * * * roll-up-usage ?jobKey=roll-up-usage
* * * * * release-dead-workers ?jobKey=release-dead-workers
7 * * * * retry-quarantined-events ?jobKey=retry-quarantined-events
23 * * * * remove-finished-events ?jobKey=remove-finished-events
17 * * * * reconcile-hourly ?jobKey=reconcile-hourly
`;

const tasks: TaskList = {
  "process-stripe-event": (payload) => processStripeEvent(payload as JobPayloads["process-stripe-event"]),
  "bulk-grant": (payload) => carryOnBulkGrant(payload as JobPayloads["bulk-grant"]),
  "rename-customer": (payload) => renameAtStripe(payload as JobPayloads["rename-customer"]),
  "close-organization": (payload) => closeOrganization(payload as JobPayloads["close-organization"]),
  "release-schedule": (payload) => releaseSchedule(payload as JobPayloads["release-schedule"]),
  "send-mail": (payload) => sendMail(payload as JobPayloads["send-mail"]),
  "expire-credits": expireCredits,
  "settle-alerts": settleAlerts,
  "grant-slices": grantSlices,
  "tell-of-dunning": tellOfDunning,
  "roll-up-usage": rollUpUsage,
  "reconcile-hourly": reconcileHourly,
  reconcile: (payload) => reconcileOnRequest(payload as JobPayloads["reconcile"]),
  "release-dead-workers": releaseDeadWorkers,
  "retry-quarantined-events": (payload) =>
    retryQuarantinedEvents(payload as Partial<JobPayloads["retry-quarantined-events"]>),
  "remove-finished-events": removeFinishedEvents,
};

/** Jobs take seconds; one that is held for ten minutes is held by a process that died, long before the queue's own four hours. */
async function releaseDeadWorkers(): Promise<void> {
  await asPlatform((tx) => tx.$executeRaw`SELECT release_dead_workers('10 minutes')`);
}

const logger = new Logger(() => (level, message) => {
  if (level === "error") log.error(message);
  else if (level === "warning") log.warn(message);
});

/** Starts the worker. It ends with the process's signals, letting running jobs finish. */
export async function startWorker(): Promise<Runner> {
  const runner = await run({
    connectionString: env().DATABASE_URL,
    concurrency: CONCURRENCY,
    maxPoolSize: CONCURRENCY + 2,
    pollInterval: 1000,
    taskList: tasks,
    crontab: CRONTAB,
    logger,
  });
  let sweeping = false;
  const sweep = async () => {
    if (sweeping) return;
    sweeping = true;
    try {
      await sweepStripeEvents();
    } catch (error) {
      log.error("the sweep of events failed", { error });
    } finally {
      sweeping = false;
    }
  };
  const timer = setInterval(sweep, SWEEP_EVERY_MS);
  runner.events.on("stop", () => clearInterval(timer));
  await sweep();
  return runner;
}
