// The parent's side of a child process that does tasks: starts it, sends one task at a time, ends it.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { SERVER_FLAGS } from "../build";
import { childEnv } from "../child-env";
import type { Answer, Message, Reply, Task } from "./tasks";

const SCRIPTS = { inProcess: "./in-process.ts", httpLoad: "./http-load.ts", eventsLoad: "./events-load.ts" };

export class HelperProcess {
  private lastId = 0;
  private ended = false;

  private constructor(
    private readonly name: string,
    private readonly child: ChildProcess,
  ) {
    child.once("exit", () => {
      this.ended = true;
    });
  }

  static async start(
    name: string,
    script: keyof typeof SCRIPTS,
    env: NodeJS.Dict<string> = {},
  ): Promise<HelperProcess> {
    const child = fork(fileURLToPath(new URL(SCRIPTS[script], import.meta.url)), [], {
      // What is measured in process runs as in a server.
      execArgv: SERVER_FLAGS,
      env: childEnv({ NODE_ENV: "production", ...env }) as NodeJS.ProcessEnv,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const helper = new HelperProcess(name, child);
    await helper.next((message) => message === "ready");
    return helper;
  }

  /** Has one task done. @throws Error with what went wrong over there */
  async do<T extends Task>(task: T): Promise<Answer<T>> {
    const id = ++this.lastId;
    const answered = this.next((message) => typeof message === "object" && (message as Reply).id === id);
    const message: Message = { id, task };
    this.child.send(message);
    const reply = (await answered) as Reply;
    if ("error" in reply) throw new Error(`${this.name}: ${reply.error}`);
    return reply.answer as Answer<T>;
  }

  async stop(): Promise<void> {
    if (this.ended) return;
    const exited = new Promise((resolve) => this.child.once("exit", resolve));
    if (this.child.connected) this.child.disconnect();
    await exited;
  }

  private next(isIt: (message: unknown) => boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const heard = (message: unknown) => {
        if (!isIt(message)) return;
        this.child.off("message", heard);
        this.child.off("exit", gone);
        resolve(message);
      };
      const gone = () => reject(new Error(`${this.name}: the process has ended`));
      this.child.on("message", heard);
      this.child.once("exit", gone);
      if (this.ended) gone();
    });
  }
}
