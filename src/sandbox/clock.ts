// Time in whole unix seconds: the global clock (real, or frozen where it was set) and the instant at which
// the piece of work in hand happens, which a due job or a test clock decides.
import type { Collection } from "./store";

export interface Setting {
  id: string;
  value: unknown;
}

export class Clock {
  private acting: number | null = null;

  constructor(private readonly settings: Collection<Setting>) {}

  /** The instant of the work in hand; outside of any, the global clock's. */
  now(): number {
    return this.acting ?? this.global();
  }

  /** What the global clock shows. */
  global(): number {
    return this.frozenAt() ?? Math.floor(Date.now() / 1000);
  }

  /** Where the global clock was set, or null while it is real time. */
  frozenAt(): number | null {
    return (this.settings.get("clock")?.value as number | null | undefined) ?? null;
  }

  freeze(at: number | null): void {
    this.settings.put({ id: "clock", value: at });
  }

  /** Runs work as if it were that instant. */
  at<R>(instant: number, work: () => R): R {
    const outer = this.acting;
    this.acting = instant;
    try {
      return work();
    } finally {
      this.acting = outer;
    }
  }
}
