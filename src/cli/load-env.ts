// Reads .env.local and .env into the environment for commands that run outside of Next. What is set already wins.
import { existsSync } from "node:fs";

for (const file of [".env.local", ".env"]) {
  if (existsSync(file)) process.loadEnvFile(file);
}
