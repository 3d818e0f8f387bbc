// What a command shows while it works: one line a step, with a tick and its seconds.

const HEARTBEAT_MS = 15_000;
const FRAME_MS = 120;
const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

const terminal = process.stdout.isTTY === true;
const colours = terminal && !process.env.NO_COLOR;
const paint = (code: number, text: string) => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);

export const bold = (text: string) => paint(1, text);
export const dim = (text: string) => paint(2, text);
export const green = (text: string) => paint(32, text);
export const red = (text: string) => paint(31, text);
export const cyan = (text: string) => paint(36, text);

export const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** A failure of a step that is explained to a person: what went wrong, the end of the log, what to do. */
export class StepError extends Error {
  override name = "StepError";
  constructor(
    message: string,
    readonly details: { log?: string; logFile?: string; hint?: string } = {},
  ) {
    super(message);
  }
}

type Step = { name: string; startedAt: number; note: string | null };

/** Shows steps, several of which may run at once. On a terminal the running ones share a last line that moves. */
export class Progress {
  private readonly running = new Set<Step>();
  private timer: NodeJS.Timeout | undefined;
  private frame = 0;
  private silent = false;

  /** Runs one step. The text that `work` returns, if any, is shown behind its name. */
  async step<T>(name: string, work: (note: (text: string) => void) => Promise<T>): Promise<T> {
    const step: Step = { name, startedAt: Date.now(), note: null };
    this.begin(step);
    try {
      const result = await work((text) => {
        step.note = text;
      });
      this.finish(step, green("✔"));
      return result;
    } catch (error) {
      this.finish(step, red("✘"));
      throw error;
    }
  }

  line(text = ""): void {
    if (this.silent) return;
    this.clear();
    process.stdout.write(`${text}\n`);
    this.draw();
  }

  /** Ends the showing, for good: what still runs will not be reported. */
  silence(): void {
    this.clear();
    this.silent = true;
    clearInterval(this.timer);
  }

  private begin(step: Step): void {
    this.running.add(step);
    if (this.silent) return;
    this.timer ??= terminal
      ? setInterval(() => this.draw(), FRAME_MS)
      : setInterval(() => this.heartbeat(), HEARTBEAT_MS);
    this.timer.unref();
    this.draw();
  }

  private finish(step: Step, mark: string): void {
    if (!this.running.delete(step)) return;
    const note = step.note ? dim(` · ${step.note}`) : "";
    this.line(`  ${mark} ${step.name}${note} ${dim(seconds(Date.now() - step.startedAt))}`);
    if (this.running.size) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private heartbeat(): void {
    for (const step of this.running) this.line(`  … ${step.name} ${seconds(Date.now() - step.startedAt)}`);
  }

  private clear(): void {
    if (terminal) process.stdout.write("\r\u001b[2K");
  }

  private draw(): void {
    if (this.silent || !terminal || !this.running.size) return;
    this.frame = (this.frame + 1) % FRAMES.length;
    const steps = [...this.running].map((step) => `${step.name} ${Math.round((Date.now() - step.startedAt) / 1000)} s`);
    const text = `  ${FRAMES[this.frame]} ${steps.join(", ")}`;
    process.stdout.write(`\r\u001b[2K${text.slice(0, (process.stdout.columns || 80) - 1)}`);
  }
}

/** The text for a failed step: the reason, the last lines of its log, and what to do next. */
export function failureText(error: unknown): string {
  const lines = [red(bold(error instanceof Error ? error.message : String(error)))];
  if (!(error instanceof StepError)) return lines[0] ?? "";
  const { log, logFile, hint } = error.details;
  if (log) lines.push("", ...log.split("\n").map((line) => dim(`  │ ${line}`)));
  if (logFile) lines.push("", `The whole log: ${logFile}`);
  if (hint) lines.push("", hint);
  return lines.join("\n");
}
