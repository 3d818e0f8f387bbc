// Log lines: one JSON object each in production, readable text elsewhere.

type Facts = Record<string, unknown>;

function write(level: "info" | "warn" | "error", message: string, facts: Facts = {}): void {
  const plain: Facts = {};
  for (const [key, value] of Object.entries(facts)) {
    plain[key] = value instanceof Error ? { name: value.name, message: value.message, stack: value.stack } : value;
  }
  const line =
    process.env.NODE_ENV === "production"
      ? JSON.stringify({ level, at: new Date().toISOString(), message, ...plain }, (_, value) =>
          typeof value === "bigint" ? value.toString() : value,
        )
      : `${level}: ${message} ${
          Object.keys(facts).length > 0
            ? Object.entries(facts)
                .map(
                  ([key, value]) => `${key}=${value instanceof Error ? (value.stack ?? value.message) : String(value)}`,
                )
                .join(" ")
            : ""
        }`;
  (level === "info" ? console.log : level === "warn" ? console.warn : console.error)(line);
}

export const log = {
  info: (message: string, facts?: Facts) => write("info", message, facts),
  warn: (message: string, facts?: Facts) => write("warn", message, facts),
  error: (message: string, facts?: Facts) => write("error", message, facts),
};
