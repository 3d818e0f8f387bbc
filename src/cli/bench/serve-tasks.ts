// The side of a child process: does the tasks that its parent sends, one after the other, and ends with it.
import type { Message, Reply, Task } from "./tasks";

export function serveTasks(work: (task: Task) => Promise<unknown>): void {
  process.on("message", async ({ id, task }: Message) => {
    const reply: Reply = await work(task).then(
      (answer) => ({ id, answer }),
      (error: Error) => ({ id, error: error.stack ?? String(error) }),
    );
    process.send?.(reply);
  });
  // Whatever became of the parent, nobody is left to measure for.
  process.on("disconnect", () => process.exit(0));
  process.send?.("ready");
}
