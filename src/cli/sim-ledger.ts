// `npm run sim:ledger`: the long forms of the ledger's simulations, with figures of your own.
//   -- --steps 10000 --seed 7     random lives against the model
//   -- --kills 50                 a server that is killed under load, so many times
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DEFAULT_STEPS = "10000";

const { values } = parseArgs({
  options: { steps: { type: "string" }, seed: { type: "string" }, kills: { type: "string" } },
});

for (const [name, value] of Object.entries(values)) {
  if (!/^\d+$/.test(value)) {
    console.error(`--${name} takes a whole number.`);
    process.exit(2);
  }
}

const { kills, seed } = values;
const steps = values.steps ?? (kills === undefined ? DEFAULT_STEPS : undefined);
const files = [...(steps === undefined ? [] : ["ledger-model"]), ...(kills === undefined ? [] : ["server-kills"])];
const env: NodeJS.ProcessEnv = {
  ...process.env,
  ...(steps === undefined ? {} : { BILLFOLD_SIM_STEPS: steps }),
  ...(seed === undefined ? {} : { BILLFOLD_SIM_SEED: seed }),
  ...(kills === undefined ? {} : { BILLFOLD_SIM_KILLS: kills }),
};
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
const paths = files.map((file) => `tests/simulation/${file}.test.ts`);
const child = spawn(process.execPath, [vitest, "run", "--project", "integration", ...paths], {
  cwd: ROOT,
  env,
  stdio: "inherit",
});
child.once("exit", (code) => process.exit(code ?? 1));
