import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// Three projects: rules and machinery alone; against a real PostgreSQL, also as processes; and the built app in a real browser.
// `npm test` runs them all with its own database; `npx vitest --project <name>` starts one by itself when it needs it.
const alias = {
  "~": fileURLToPath(new URL("./src", import.meta.url)),
  // Next replaces this guard in its bundles. Outside of them it would throw.
  "server-only": fileURLToPath(new URL("./tests/setup/server-only.ts", import.meta.url)),
};

export default defineConfig({
  resolve: { alias },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          // A worker takes one file after another: loading Node's packages anew for each takes longer than many a file does.
          isolate: false,
          setupFiles: ["tests/setup/fresh-process.ts"],
          include: ["tests/{unit,sandbox,cli}/**/*.test.{ts,tsx}"],
          testTimeout: 20_000,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "integration",
          isolate: false,
          setupFiles: ["tests/setup/fresh-process.ts"],
          // As the server has it: what a call needs lives for an instant.
          execArgv: ["--max-semi-space-size=64"],
          include: ["tests/{integration,processes,simulation}/**/*.test.ts"],
          globalSetup: ["tests/setup/global-postgres.ts"],
          // Lives of months go through hundreds of events; a slow machine takes its time.
          testTimeout: 180_000,
          // The first file that needs the built app builds it; whoever comes second waits for that.
          hookTimeout: 600_000,
          // One more than cores are usual, since some wait for other processes most of the time.
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: "e2e",
          include: ["tests/e2e/**/*.test.ts"],
          globalSetup: ["tests/setup/global-postgres.ts"],
          testTimeout: 120_000,
          // As above, where this suite is run by itself. Each file has a world of its own.
          hookTimeout: 600_000,
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
