// `npm run sim`: a year in the life of many organizations, lived through in about a minute. See tests/simulation/life.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LIFE = fileURLToPath(new URL("../../tests/simulation/life/main.ts", import.meta.url));

const child = spawn(process.execPath, ["--import", "tsx/esm", LIFE, ...process.argv.slice(2)], {
  cwd: ROOT,
  stdio: "inherit",
});
child.once("exit", (code) => process.exit(code ?? 1));
