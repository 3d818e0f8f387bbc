// Runs the sandbox as a process of its own: settings from the environment, one line when it is ready.
import { startSandbox } from "./index";

function portOf(name: string, fallback: number): number {
  const text = process.env[name]?.trim();
  if (!text) return fallback;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  console.error(`${name} must be a port between 0 and 65535, not "${text}".`);
  process.exit(1);
}

function explain(error: NodeJS.ErrnoException & { port?: number }): string {
  if (error.code !== "EADDRINUSE") return `The sandbox could not start: ${error.message}`;
  return `Port ${error.port} is taken: stop what listens there, or set SANDBOX_PORT (or SANDBOX_SMTP_PORT) to another one.`;
}

try {
  const sandbox = await startSandbox({
    port: portOf("SANDBOX_PORT", 12111),
    smtpPort: portOf("SANDBOX_SMTP_PORT", 12125),
    dataDir: process.env.SANDBOX_DATA_DIR || undefined,
    secretKey: process.env.STRIPE_SECRET_KEY || "sk_test_sandbox",
  });
  const stop = () => {
    sandbox.close().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  // Last, so that whoever waits for this line can already stop it.
  console.log(`Stripe sandbox ready at ${sandbox.url} (mail: ${sandbox.smtpUrl})`);
} catch (error) {
  console.error(explain(error as NodeJS.ErrnoException));
  process.exit(1);
}
