// The child processes of one command: started together with their names, ended together whatever happens.
import { type Child, endGroup, type SpawnOptions, signalGroup, spawnLogged, startTimeOf } from "./processes";

const GRACE_MS = 8000;

export type RecordedChild = { name: string; pid: number; startedAt: string | null };

export class Children {
  private readonly running = new Set<Child>();
  private stopping = false;

  /** `onChange` is told who runs, so that it can be written down for the time after a crash. */
  constructor(private readonly onChange: (children: RecordedChild[]) => void = () => {}) {}

  get isStopping(): boolean {
    return this.stopping;
  }

  async spawn(options: SpawnOptions): Promise<Child> {
    return this.adopt(await spawnLogged(options));
  }

  adopt(child: Child): Child {
    this.running.add(child);
    this.changed();
    child.exited.then(() => {
      this.running.delete(child);
      this.changed();
    });
    // Started in the moment in which everything was being ended.
    if (this.stopping) signalGroup(child.pid, "SIGKILL");
    return child;
  }

  /** Ends all of them: politely first, and by force after a grace period. */
  async stopAll(): Promise<void> {
    this.stopping = true;
    await Promise.all([...this.running].map((child) => endGroup(child.pid, GRACE_MS).then(() => child.exited)));
  }

  private changed(): void {
    this.onChange([...this.running].map(({ name, pid }) => ({ name, pid, startedAt: startTimeOf(pid) })));
  }
}

/** Ends what a killed run left behind. A process counts as left behind only if it still is the one that was recorded. */
export async function endRecorded(children: RecordedChild[]): Promise<RecordedChild[]> {
  const ours = children.filter(({ pid, startedAt }) => startedAt !== null && startTimeOf(pid) === startedAt);
  await Promise.all(ours.map(({ pid }) => endGroup(pid, GRACE_MS)));
  return ours;
}
