// A worker runs one file after another. Each finds it as a process that has just begun: our own modules are loaded again, and
// nothing is left of what they keep for a process.
import { vi } from "vitest";

const beginning = globalThis as typeof globalThis & { environmentOfTests?: NodeJS.ProcessEnv };

beginning.environmentOfTests ??= { ...process.env };
for (const name of Object.keys(process.env)) if (!(name in beginning.environmentOfTests)) delete process.env[name];
Object.assign(process.env, beginning.environmentOfTests);
for (const name of Object.keys(globalThis)) if (name.startsWith("billfold")) Reflect.deleteProperty(globalThis, name);
vi.resetModules();
