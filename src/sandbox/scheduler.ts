// What is due and when: jobs, one of a kind for each target, each on the global clock or on a test clock.
import type { Clock } from "./clock";
import { newId } from "./ids";
import type { Collection, Store } from "./store";

export type JobKind =
  | "subscription.advance"
  | "subscription.expire"
  | "subscription.trial_will_end"
  | "subscription.update_expire"
  | "subscription.resume_expire"
  | "subscription.collect_again"
  | "schedule.advance"
  | "invoice.finalize"
  | "invoice.retry"
  | "invoice.overdue"
  | "session.expire"
  | "payment.decide"
  | "discount.end"
  | "refund.settle"
  | "dispute.open"
  | "dispute.decide"
  | "dispute.deadline";

export interface Job {
  id: string;
  kind: JobKind;
  target: string;
  at: number;
  /** A test clock's id, or null for the global clock. */
  clock: string | null;
  /** Jobs of one instant run in the order in which they were made. */
  turn: number;
}

export class Scheduler {
  private readonly handlers = new Map<JobKind, (target: string) => void>();
  private readonly jobs: Collection<Job>;
  /** Per clock, in the order in which they are due. May hold jobs that are gone: the collection decides. */
  private readonly queues = new Map<string, Job[]>();
  private turn = 0;

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
  ) {
    this.jobs = store.collection<Job>("jobs", { target: (job) => job.target });
  }

  /** Names the work of a kind. */
  on(kind: JobKind, handler: (target: string) => void): void {
    this.handlers.set(kind, handler);
  }

  /** Plans a job, in place of an earlier one of the same kind and target; null only takes that one away. */
  plan(kind: JobKind, target: string, at: number | null, clock: string | null): void {
    for (const job of this.jobs.by("target", target)) if (job.kind === kind) this.jobs.remove(job.id);
    if (at === null) return;
    this.turn += 1;
    this.enqueue(this.jobs.put({ id: newId("job"), kind, target, at, clock, turn: this.turn }));
  }

  /** Takes away every job of a target. */
  forget(target: string): void {
    for (const job of this.jobs.by("target", target)) this.jobs.remove(job.id);
  }

  /** Runs what is due on a clock up to an instant, in order, each at its own instant. Returns how many ran. */
  runDue(clock: string | null, until: number): number {
    let ran = 0;
    for (let job = this.next(clock, until); job; job = this.next(clock, until)) {
      this.run(job);
      ran += 1;
    }
    return ran;
  }

  /** When the next job of a kind is due on a clock; null when there is none. */
  nextOf(kind: JobKind, clock: string | null): number | null {
    const queue = this.queues.get(clock ?? "global") ?? [];
    return queue.find((job) => job.kind === kind && this.jobs.get(job.id) !== undefined)?.at ?? null;
  }

  /** Takes up the jobs that were loaded from disk, or drops all after a wipe. */
  restart(): void {
    this.queues.clear();
    for (const job of this.jobs.values()) {
      this.turn = Math.max(this.turn, job.turn);
      this.enqueue(job);
    }
  }

  private enqueue(job: Job): void {
    const key = job.clock ?? "global";
    const queue = this.queues.get(key) ?? [];
    this.queues.set(key, queue);
    let [low, high] = [0, queue.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = queue[middle];
      if (other && (other.at < job.at || (other.at === job.at && other.turn < job.turn))) low = middle + 1;
      else high = middle;
    }
    queue.splice(low, 0, job);
  }

  private next(clock: string | null, until: number): Job | null {
    const queue = this.queues.get(clock ?? "global") ?? [];
    for (let job = queue[0]; job; job = queue[0]) {
      if (this.jobs.get(job.id)) return job.at <= until ? job : null;
      queue.shift();
    }
    return null;
  }

  private run(job: Job): void {
    try {
      this.clock.at(job.at, () =>
        this.store.transaction(() => {
          this.jobs.remove(job.id);
          this.handlers.get(job.kind)?.(job.target);
        }),
      );
    } catch (error) {
      // A job that cannot run must not stop the clock for all others.
      this.jobs.remove(job.id);
      console.error(`sandbox: ${job.kind} of ${job.target} failed`, error);
    }
  }
}
