// A year in the life of many organizations, in steps of half a day of a clock that nobody waits for.

import { BillingError } from "~/domain/errors";
import { grantDueSlices } from "~/server/billing/allowances";
import { expireLots, listOrganizationsWithDueLots } from "~/server/billing/credits";
import { closeAtStripe } from "~/server/billing/organization-removal";
import { createOrganization } from "~/server/billing/organizations";
import { asPlatform } from "~/server/db";
import { runReconciliation } from "~/server/jobs/tasks/reconcile";
import type { Stripe } from "~/server/stripe";
import { listEventsToProcess } from "~/server/webhooks/claim";
import { processEvent } from "~/server/webhooks/process";
import { replayEvent } from "~/server/webhooks/replay";
import { brokenLaws } from "../ledger-laws";
import { Chance } from "./chance";
import { leaveNothingToChance } from "./chance-of-the-app";
import { Organization } from "./organization";
import { Post } from "./post";
import type { Counts, Report } from "./report";
import { openStage, type Stage } from "./stage";
import { nothing, readStripe } from "./theirs";
import { type Breach, breachesOf } from "./truths";

const STEPS_A_DAY = 2;
const STEP_MS = 86_400_000 / STEPS_A_DAY;
const BATCH = 500;
/** A customer's events are left to the next turn where they take long, and what crashed is done again. */
const MOST_ROUNDS = 20;
/**
 * The evening before the 31st of a month of a leap year, so that everybody's first day is that one, and months end before their days
 * do. Later than anybody runs this: where an instant of the year is compared with the database's own clock, it comes after it.
 */
const START = new Date("2036-01-30T20:00:00.000Z");

export interface Settings {
  days: number;
  seed: string;
  organizations: number;
  faults: "all" | "none";
  /** It ends with the first fortnight in which a truth is broken. */
  short: boolean;
}

/** One process lives with a part of the organizations, beside others with a Stripe and a database of their own. */
export interface Part {
  number: number;
  of: number;
}

/** The reconciler rests between pages for Stripe's sake; nobody needs that here. */
const PACE = { pauseMs: 0, firstWaitMs: 1 };
const FORTNIGHT_STEPS = STEPS_A_DAY * 14;
const SHARES = {
  calls: 0.01,
  lost: 0.06,
  copied: 0.12,
  late: 0.12,
  races: 0.3,
  packs: 0.06,
  replayed: 0.06,
  outages: 0.03,
  downtimes: 0.06,
};
/** How old events are, at most, that are processed anew. */
const REPLAYED_MS = 56 * 86_400_000;

export async function liveThrough(settings: Settings, part: Part): Promise<Report> {
  const seed = `${settings.seed}, part ${part.number} of ${part.of}`;
  const stage = await openStage(seed, START);
  leaveNothingToChance(seed);
  try {
    return await new Year(stage, settings, part, seed).run();
  } finally {
    await stage.close();
  }
}

class Year {
  private readonly post: Post;
  private readonly chance: Chance;
  private readonly organizations: Organization[] = [];
  private readonly breaches: Breach[] = [];
  private readonly sentences: Counts = {};
  private readonly closed = new Set<string>();
  /** Until which step Stripe, our endpoint, and the workers are away. */
  private away = { stripe: 0, endpoint: 0, workers: 0 };
  private crashes = 0;
  private reconciled = { runs: 0, drift: 0, repaired: 0, queued: 0 };

  constructor(
    private readonly stage: Stage,
    private readonly settings: Settings,
    private readonly part: Part,
    seed: string,
  ) {
    const faulty = settings.faults === "all";
    this.chance = new Chance(`${seed} year`);
    this.post = new Post(
      new Chance(`${seed} post`),
      faulty ? { lost: SHARES.lost, copied: SHARES.copied, late: SHARES.late } : { lost: 0, copied: 0, late: 0 },
    );
    stage.line.share = faulty ? SHARES.calls : 0;
  }

  async run(): Promise<Report> {
    const { days, organizations, seed } = this.settings;
    for (let number = 1; number <= organizations; number += 1) {
      // In turn, and the other way round in the next ten: each kind of organization is in each part.
      if ((number + Math.floor(number / 10)) % this.part.of !== this.part.number % this.part.of) continue;
      const { id, slug } = await createOrganization({ name: `Organization ${number}`, now: START });
      // What is spent of a payment that is taken back is owed, so that credits can be held against money.
      await asPlatform((tx) => tx.organization.update({ where: { id }, data: { spentPolicy: "debt" } }));
      this.organizations.push(new Organization(number, id, this.stage, slug, seed));
    }
    try {
      for (let step = 1; step <= days * STEPS_A_DAY; step += 1) {
        await this.step(step, new Date(START.getTime() + step * STEP_MS));
        if (this.settings.short && this.breaches.length > 0) return await this.report();
      }
      await this.end(days * STEPS_A_DAY);
    } catch (error) {
      const where = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
      this.breaches.push({ truth: "the app answers, or refuses with a code", where });
    }
    return this.report();
  }

  private async step(step: number, now: Date): Promise<void> {
    const { line } = this.stage;
    await this.stage.setClock(now);
    line.cut = step <= this.away.stripe;
    for (const organization of this.organizations) {
      if (organization.number % STEPS_A_DAY !== step % STEPS_A_DAY) continue;
      await organization.live(now, Math.ceil(step / STEPS_A_DAY));
    }
    if (this.chance.happens(SHARES.packs)) await this.editPack(now);
    // Only now, so that something waits for whoever goes away.
    if (this.settings.faults === "all") this.goAway(step);
    line.cut = step <= this.away.stripe;
    this.post.post(await this.stage.freshEvents(), step, step <= this.away.endpoint);
    await this.receive(this.post.arrivals(step), now);
    await this.sweep(now);
    if (step > this.away.workers) await this.byTheClock(now);
    line.cut = false;
    if (step % FORTNIGHT_STEPS === 0) await this.lookThrough(later(now), step / FORTNIGHT_STEPS);
  }

  /** Stripe is out of reach for a day now and then, our endpoint and the workers that go by the clock are down for some days. */
  private goAway(step: number): void {
    if (this.chance.happens(SHARES.outages)) this.away.stripe = step + STEPS_A_DAY - 1;
    if (this.chance.happens(SHARES.downtimes)) this.away.endpoint = step + this.chance.int(1, 2 * STEPS_A_DAY);
    if (this.chance.happens(SHARES.downtimes)) this.away.workers = step + this.chance.int(1, 4 * STEPS_A_DAY);
  }

  /** The platform's own people change what a pack holds from now on. */
  private async editPack(now: Date): Promise<void> {
    const key = this.chance.pick(["pack_2500", "pack_10000", "pack_50000"]);
    const more = this.chance.int(1, 40) * 10;
    await asPlatform((tx) =>
      tx.creditProduct.update({
        where: { key },
        data: { credits: { increment: more }, version: { increment: 1 }, updatedAt: now },
      }),
    );
  }

  private async receive(events: readonly Stripe.Event[], now: Date): Promise<void> {
    for (const event of events) {
      const status = await this.stage.deliver(event, now);
      if (status !== 200) this.breaches.push({ truth: "a good event is taken", where: `${event.type}: ${status}` });
    }
  }

  /** What waits is processed as the jobs and the sweep do. */
  private sweep(now: Date): Promise<void> {
    return this.untilNoneWaits(now, (waiting) => this.process(waiting, now));
  }

  private async untilNoneWaits(now: Date, process: (waiting: readonly string[]) => Promise<void>): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS; round += 1) {
      const waiting = await listEventsToProcess(now, BATCH);
      if (waiting.length === 0) return;
      await process(waiting);
    }
  }

  /** Often by two at once, with crashes between the effects and the mark. */
  private async process(waiting: readonly string[], now: Date): Promise<void> {
    const faulty = this.settings.faults === "all";
    for (const id of waiting) {
      const [first, second] =
        faulty && this.chance.happens(SHARES.races)
          ? await Promise.all([processEvent(id, now), processEvent(id, now)])
          : [await processEvent(id, now), null];
      const sentence = first ?? second;
      if (sentence) this.note(sentence);
      if (!faulty || !this.chance.happens(0.02)) continue;
      this.crashes += 1;
      await this.stage.sql(
        "UPDATE stripe_events SET status = 'received', processed_at = NULL WHERE id = $1 AND status = 'done'",
        [id],
      );
    }
  }

  private async byTheClock(now: Date): Promise<void> {
    for (const id of await listOrganizationsWithDueLots(now, BATCH)) await expireLots(id, now);
    await grantDueSlices(now, BATCH);
    for (const organization of this.organizations.filter((each) => each.gone)) await this.close(organization.id, now);
  }

  /** What the job of a removed organization does; as the job, it is tried again. */
  private async close(organizationId: string, now: Date): Promise<void> {
    if (this.closed.has(organizationId)) return;
    try {
      await closeAtStripe(organizationId, now);
      this.closed.add(organizationId);
    } catch (error) {
      if (!(error instanceof BillingError)) throw error;
    }
  }

  /**
   * Each fortnight, what was lost is made good in one of two ways, and everything is compared with Stripe: by the reconciler, while
   * calls fail, and where Stripe has forgotten its events; or by Stripe, which delivers after all what was lost. Then there
   * is nothing left for the reconciler to find.
   */
  private async lookThrough(now: Date, fortnight: number): Promise<void> {
    const { line } = this.stage;
    const { share } = line;
    const byReconciler = fortnight % 2 === 1 && this.settings.faults === "all";
    if (byReconciler) {
      line.forgetful = this.chance.happens(0.7);
      await this.reconcile(now);
    } else {
      await this.receive([...this.post.found(), ...this.post.empty()], now);
      await this.replayOld(now);
    }
    // Then all is well for longer than anything waits.
    line.share = 0;
    const after = later(now);
    await this.finish(after);
    if (byReconciler) await this.reconcile(after);
    else {
      // What we have done at Stripe by the clock, since the post was last collected, is told as well.
      await this.receive(this.post.collect(await this.stage.freshEvents()), after);
      await this.finish(after);
    }
    line.forgetful = false;
    await this.compare(after);
    if (!byReconciler) await this.findNothing(after, "where nothing was lost, the reconciler finds nothing");
    line.share = share;
  }

  /** Somebody has events of the last weeks processed anew: nothing may come of it. */
  private async replayOld(now: Date): Promise<void> {
    if (this.settings.faults === "none") return;
    const done = await this.stage.sql<{ id: string }>(
      "SELECT id FROM stripe_events WHERE status = 'done' AND received_at > $1 ORDER BY received_at, id",
      [new Date(now.getTime() - REPLAYED_MS)],
    );
    for (const { id } of done) if (this.chance.happens(SHARES.replayed)) await replayEvent(id, now);
  }

  /** Everything that waits is done. */
  private async finish(now: Date): Promise<void> {
    await this.untilNoneWaits(now, async (waiting) => {
      for (const id of waiting) await processEvent(id, now);
    });
    await this.byTheClock(now);
  }

  private async findNothing(now: Date, truth: string): Promise<void> {
    const drift = await this.reconcile(now);
    if (drift === 0) return;
    const [found] = await this.stage.sql<{ kind: string; message: string }>(
      "SELECT kind, message FROM reconciliation_findings ORDER BY id DESC LIMIT 1",
    );
    this.breaches.push({
      truth,
      where: drift === null ? "it was cut off" : `${drift}, such as ${found?.kind}: ${found?.message}`,
    });
  }

  /** @returns what it found adrift; null where it was cut off, which the next run makes good */
  private async reconcile(now: Date): Promise<number | null> {
    try {
      const { drift, repaired, queued } = await runReconciliation({
        cause: "simulation",
        since: null,
        now,
        pace: PACE,
      });
      this.reconciled.runs += 1;
      this.reconciled.drift += drift;
      this.reconciled.repaired += repaired;
      this.reconciled.queued += queued;
      return drift;
    } catch (error) {
      if (!(error instanceof BillingError)) throw error;
      return null;
    }
  }

  private async end(steps: number): Promise<void> {
    const { line, setClock, freshEvents } = this.stage;
    line.share = 0;
    const now = new Date(START.getTime() + steps * STEP_MS + STEP_MS);
    await setClock(now);
    this.post.post(await freshEvents(), steps);
    await this.receive(this.post.empty(), now);
    const end = later(now);
    await this.finish(end);
    await this.reconcile(end);
    await this.findNothing(new Date(end.getTime() + 60_000), "a second reconciliation finds nothing");
    await this.compare(end);
  }

  private async compare(now: Date): Promise<void> {
    const { sql, stripe } = this.stage;
    const ids = this.organizations.map((organization) => organization.id);
    for (const { law, where } of await brokenLaws(sql, ids, now)) this.breaches.push({ truth: law, where });
    const theirs = await readStripe(stripe);
    for (const organization of this.organizations) {
      const mine = theirs.get(organization.id) ?? nothing();
      this.breaches.push(...(await breachesOf(sql, organization, mine, now)));
    }
    const waiting = await sql<{ status: string; type: string; outcome: string }>(
      "SELECT status::text AS status, type, outcome FROM stripe_events WHERE status NOT IN ('done', 'ignored', 'refused', 'quarantined') ORDER BY received_at, id",
    );
    for (const { status, type, outcome } of waiting) {
      this.breaches.push({ truth: "every event has come to its end", where: `${type} is ${status}: ${outcome}` });
    }
  }

  private note(sentence: string): void {
    const shape = sentence.replaceAll(/\b[a-z]+_[A-Za-z0-9]{8,}\b/g, "…").replaceAll(/[\d,.]*\d/g, "N");
    this.sentences[shape] = (this.sentences[shape] ?? 0) + 1;
  }

  private async report(): Promise<Report> {
    const { sql, line } = this.stage;
    const ledger = await sql<{ type: string; rows: number; amount: number }>(
      "SELECT type::text AS type, count(*)::int AS rows, sum(amount)::float8 AS amount FROM credit_transactions GROUP BY 1 ORDER BY 1",
    );
    const subscriptions = await sql<{ status: string; count: number }>(
      "SELECT status::text AS status, count(*)::int AS count FROM organization_subscriptions GROUP BY 1 ORDER BY 1",
    );
    const accounts = await sql<{ id: string; balance: number; granted: number; rows: number }>(
      `SELECT organization_id AS id, balance::float8 AS balance, last_seq::float8 AS rows,
         (SELECT coalesce(sum(amount), 0)::float8 FROM credit_grants g WHERE g.organization_id = a.organization_id) AS granted
       FROM credit_accounts a`,
    );
    const byId = new Map(accounts.map((account) => [account.id, account]));
    const deeds: Counts = {};
    for (const organization of this.organizations) {
      for (const [deed, count] of Object.entries(organization.deeds)) deeds[deed] = (deeds[deed] ?? 0) + count;
    }
    return {
      post: this.post.counts,
      callFaults: line.faults,
      crashes: this.crashes,
      reconciled: this.reconciled,
      deeds,
      sentences: this.sentences,
      ledger,
      subscriptions,
      organizations: this.organizations.map(({ id, number, kind, consumed }) => ({
        number,
        kind,
        consumed,
        balance: byId.get(id)?.balance ?? 0,
        granted: byId.get(id)?.granted ?? 0,
        rows: byId.get(id)?.rows ?? 0,
      })),
      breaches: this.breaches,
    };
  }
}

/** When the next try is due of whatever has failed just now. */
const later = (now: Date): Date => new Date(now.getTime() + 4 * 3_600_000);
