// The one reader of the environment. Everything is validated once, with a message that names what is wrong.
import { z } from "zod";

const optional = z.string().optional();

const schema = z.object({
  DATABASE_URL: z.string().min(1),
  STRIPE_SECRET_KEY: z.string().min(1),
  /** Comma-separated while secrets rotate. Empty refuses every webhook: a signature is never checked with an empty key. */
  STRIPE_WEBHOOK_SECRET: optional,
  NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY: optional,
  /** Where Stripe's API is; only for the sandbox. */
  STRIPE_API_BASE: z.url().optional(),
  NEXTAUTH_URL: z.url(),
  NEXTAUTH_SECRET: z.string().min(1),
  SMTP_URL: optional,
  EMAIL_FROM: z.string().default("Billfold <billing@localhost>"),
  GITHUB_ID: optional,
  GITHUB_SECRET: optional,
  GOOGLE_CLIENT_ID: optional,
  GOOGLE_CLIENT_SECRET: optional,
  /** Comma-separated addresses of people who administer the platform. */
  PLATFORM_ADMINS: optional,
  /** `1` offers one-click demo persons on the sign-in page. Set by the demo only. */
  BILLFOLD_DEMO: optional,
  /** `off` where jobs run in processes of their own (`npm run worker`). */
  BILLFOLD_WORKER: z.enum(["on", "off"]).default("on"),
  /** Database connections of one process. */
  DATABASE_POOL: z.coerce.number().int().min(2).max(200).default(20),
});

export type Env = z.infer<typeof schema>;

let cached: Env | undefined;

/** The validated environment. @throws Error that lists each variable that is missing or wrong, never its value. */
export function env(): Env {
  if (cached) return cached;
  // A line of .env that is left empty is as good as none.
  const given = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value?.trim() !== ""));
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path, message }) => {
      const name = path.join(".");
      return `  ${name}: ${given[name] === undefined ? "is not set" : message}`;
    });
    throw new Error(`The environment is not complete (see .env.example):\n${lines.join("\n")}`);
  }
  cached = parsed.data;
  return cached;
}

/** An address of the app as people and Stripe reach it. @param path from the root, with its slash */
export function publicUrl(path: string): string {
  return `${env().NEXTAUTH_URL.replace(/\/$/, "")}${path}`;
}

const GUESSABLE_BELOW = 32;

/** What is no mistake, but should be known to whoever runs this. */
export function environmentWarnings(): string[] {
  const { NEXTAUTH_SECRET, STRIPE_WEBHOOK_SECRET } = env();
  const warnings: string[] = [];
  if (NEXTAUTH_SECRET.length < GUESSABLE_BELOW) {
    warnings.push(
      `NEXTAUTH_SECRET is shorter than ${GUESSABLE_BELOW} characters: sessions can be forged by who guesses it`,
    );
  }
  if (!STRIPE_WEBHOOK_SECRET) warnings.push("STRIPE_WEBHOOK_SECRET is not set: every webhook is refused");
  return warnings;
}

/** The webhook secrets that are accepted at the moment, blank ones left out. */
export function webhookSecrets(): string[] {
  return (env().STRIPE_WEBHOOK_SECRET ?? "")
    .split(",")
    .map((secret) => secret.trim())
    .filter((secret) => secret.length > 0);
}

/** Whether an address belongs to a platform admin by configuration. */
export function isConfiguredAdmin(email: string): boolean {
  return (env().PLATFORM_ADMINS ?? "")
    .split(",")
    .map((address) => address.trim().toLowerCase())
    .includes(email.toLowerCase());
}
