// What a push into a Stripe account would do: one change for each object, in the order in which they are made.
import { createHash } from "node:crypto";

export type ChangeAction =
  | "create"
  | "update"
  | "archive"
  /** It is there as it should be, and only our row did not know its id. */
  | "link"
  | "keep";

export type ChangeKind = "product" | "price" | "meter" | "portal_configuration" | "webhook_endpoint";

export interface Change {
  action: ChangeAction;
  kind: ChangeKind;
  name: string;
  /** From what to what, a line each: `name: Pro → Pro plus`. */
  details: string[];
  /** Makes it so, and keeps its id. What an earlier try has made is found before, never made again. */
  apply(): Promise<void>;
}

const nothing = async () => {};

export function keep(kind: ChangeKind, name: string): Change {
  return { action: "keep", kind, name, details: [], apply: nothing };
}

/** `name: Pro → Pro plus` */
export function fromTo(field: string, from: unknown, to: unknown): string {
  return `${field}: ${say(from)} → ${say(to)}`;
}

function say(value: unknown): string {
  if (value === null || value === undefined || value === "") return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/**
 * Where an object differs from what is wanted of it; what is not wanted in any way is left alone.
 * @returns a line for each field; lists are compared without regard to order
 */
export function differences(wanted: Record<string, unknown>, theirs: object, path = ""): string[] {
  return Object.entries(wanted).flatMap(([field, to]) => {
    const from = (theirs as Record<string, unknown>)[field] ?? null;
    const name = path + field;
    if (isPlain(to)) return differences(to, isPlain(from) ? from : {}, `${name}.`);
    return sorted(to) === sorted(from) ? [] : [fromTo(name, from, to)];
  });
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function sorted(value: unknown): string {
  if (!Array.isArray(value)) return JSON.stringify(value ?? null);
  return JSON.stringify(value.map((one) => JSON.stringify(one)).sort());
}

/**
 * A key under which Stripe makes an object once, however often it is asked within a day.
 * @param parts what is asked for, and the id that was known before: one that was deleted there is made anew
 */
export function onceKey(kind: ChangeKind, ...parts: unknown[]): { idempotencyKey: string } {
  const digest = createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 40);
  return { idempotencyKey: `billfold:${kind}:${digest}` };
}
