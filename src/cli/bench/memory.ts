// How much memory a process has in use while work goes on.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const SAMPLE_MS = 100;

/** Resident memory of a process in MB, as the system counts it. */
export function residentMb(pid: number): number {
  if (process.platform === "linux") {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kilobytes) / 1024;
  }
  return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) / 1024;
}

/** Runs the work and says how much the process had in use at most meanwhile. */
export async function highestResidentMb<T>(
  pid: number,
  work: () => Promise<T>,
): Promise<{ result: T; highestMb: number }> {
  let highestMb = residentMb(pid);
  const sample = () => {
    highestMb = Math.max(highestMb, residentMb(pid));
  };
  const timer = setInterval(sample, SAMPLE_MS);
  try {
    const result = await work();
    sample();
    return { result, highestMb };
  } finally {
    clearInterval(timer);
  }
}
