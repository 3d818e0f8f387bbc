// The one reader of the environment. Everything is validated once, with a message that names what is wrong.
import { z } from "zod";

const optional = z.preprocess((value) => (value === "" ? undefined : value), z.string().optional());

const schema = z.object({
  DATABASE_URL: z.string().min(1, "the address of the Postgres database"),
  STRIPE_SECRET_KEY: z.string().min(1, "Stripe's secret key (sk_… or rk_…)"),
  /** Comma-separated while secrets rotate. Empty refuses every webhook: a signature is never checked with an empty key. */
  STRIPE_WEBHOOK_SECRET: optional,
  NEXT_PUBLIC_STRIPE_PUBLISHABLE_KEY: optional,
  /** Where Stripe's API is; only for the sandbox. */
  STRIPE_API_BASE: z.preprocess((value) => (value === "" ? undefined : value), z.url().optional()),
  NEXTAUTH_URL: z.url(),
  NEXTAUTH_SECRET: z.string().min(16, "a random secret of at least 16 characters"),
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
  BILLFOLD_WORKER: z.preprocess((value) => (value === "" ? undefined : value), z.enum(["on", "off"]).default("on")),
  /** Database connections of one process. */
  DATABASE_POOL: z.coerce.number().int().min(2).max(200).default(20),
});

export type Env = z.infer<typeof schema>;

let cached: Env | undefined;

/** The validated environment. @throws Error that lists each variable that is missing or wrong, never its value. */
export function env(): Env {
  if (cached) return cached;
  const parsed = schema.safeParse(process.env);
  if (!parsed.success) {
    const lines = parsed.error.issues.map(({ path, message }) => {
      const name = path.join(".");
      return `  ${name}: ${process.env[name] === undefined ? "is not set" : message}`;
    });
    throw new Error(`The environment is not complete (see .env.example):\n${lines.join("\n")}`);
  }
  cached = parsed.data;
  return cached;
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
