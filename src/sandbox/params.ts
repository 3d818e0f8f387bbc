// The one checker of parameters. A route declares a shape; whatever is not in it is refused as Stripe refuses it.
import { invalidParameter } from "./errors";
import type { Raw, RawObject } from "./form";

export interface Spec<T> {
  readonly required?: boolean;
  parse(raw: Raw, path: string): T;
}
export type Shape = Record<string, Spec<unknown>>;
type Value<S> = S extends Spec<infer T> ? T : never;

/** What a shape yields: required keys are there, the others may be undefined. */
export type Params<S extends Shape> = {
  [K in keyof S as S[K] extends { required: true } ? K : never]: Value<S[K]>;
} & { [K in keyof S as S[K] extends { required: true } ? never : K]?: Value<S[K]> };

function text(raw: Raw, path: string): string {
  if (typeof raw !== "string") throw invalidParameter("Invalid string: must be a plain value", path);
  if (raw !== "") return raw;
  throw invalidParameter(
    `You passed an empty string for '${path}'. We assume empty values are an attempt to unset a parameter; however '${path}' cannot be unset. You should remove '${path}' from your request or supply a non-empty value.`,
    path,
    "parameter_invalid_empty",
  );
}

function spec<T>(parse: (raw: Raw, path: string) => T): Spec<T> {
  return { parse };
}

/** Text of at most `max` characters. */
export function string({ max = 5000 } = {}): Spec<string> {
  return spec((raw, path) => {
    const value = text(raw, path);
    if (value.length > max) {
      throw invalidParameter(`Invalid string: ${value.slice(0, 20)}…; must be at most ${max} characters`, path);
    }
    return value;
  });
}

/** A whole number; also an instant in unix seconds. */
export function integer({ min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER } = {}): Spec<number> {
  return spec((raw, path) => {
    const value = text(raw, path);
    const number = Number(value);
    if (!/^-?\d+$/.test(value) || !Number.isSafeInteger(number)) {
      throw invalidParameter(`Invalid integer: ${value}`, path, "parameter_invalid_integer");
    }
    if (number < min)
      throw invalidParameter(`This value must be greater than or equal to ${min}.`, path, "parameter_invalid_integer");
    if (number > max)
      throw invalidParameter(`This value must be less than or equal to ${max}.`, path, "parameter_invalid_integer");
    return number;
  });
}

/** A decimal number kept as text. */
export function decimal(): Spec<string> {
  return spec((raw, path) => {
    const value = text(raw, path);
    if (!/^-?\d+(\.\d{1,12})?$/.test(value)) throw invalidParameter(`Invalid decimal: ${value}`, path);
    return value;
  });
}

export function boolean(): Spec<boolean> {
  return spec((raw, path) => {
    const value = text(raw, path);
    if (value !== "true" && value !== "false") throw invalidParameter(`Invalid boolean: ${value}`, path);
    return value === "true";
  });
}

/** One of the given words. */
export function oneOf<const T extends string>(...words: T[]): Spec<T> {
  return spec((raw, path) => {
    const value = text(raw, path);
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    const last = words[words.length - 1];
    const listed = words.length === 1 ? last : `${words.slice(0, -1).join(", ")}, or ${last}`;
    throw invalidParameter(`Invalid ${path}: must be ${words.length === 1 ? "" : "one of "}${listed}`, path);
  });
}

/** An http(s) address. `{CHECKOUT_SESSION_ID}` inside it is fine. */
export function url(): Spec<string> {
  return spec((raw, path) => {
    const value = text(raw, path);
    if (/^https?:\/\/[^\s/]/i.test(value) && URL.canParse(value)) return value;
    throw invalidParameter("Not a valid URL", path, "url_invalid");
  });
}

export function email(): Spec<string> {
  return spec((raw, path) => {
    const value = text(raw, path);
    if (/^[^\s@]+@[^\s@]+\.?[^\s@]+$/.test(value) && value.length <= 512) return value;
    throw invalidParameter(`Invalid email address: ${value}`, path, "email_invalid");
  });
}

function entries(raw: Raw, path: string, noun: "object" | "array"): Array<[string, Raw]> {
  if (typeof raw === "string") throw invalidParameter(`Invalid ${noun}`, path);
  return Object.entries(raw);
}

/** Values of one kind, `a[0]=…&a[1]=…` or `a[]=…`. */
export function list<T>(of: Spec<T>, { max = 100 } = {}): Spec<T[]> {
  return spec((raw, path) => {
    const found = entries(raw, path, "array");
    if (found.some(([key]) => !/^\d+$/.test(key))) throw invalidParameter("Invalid array", path);
    if (found.length > max) throw invalidParameter(`Array must have at most ${max} elements`, path);
    found.sort(([a], [b]) => Number(a) - Number(b));
    return found.map(([key, value]) => of.parse(value, `${path}[${key}]`));
  });
}

/** A nested object with keys of its own. */
export function object<S extends Shape>(shape: S): Spec<Params<S>> {
  return spec((raw, path) => {
    if (typeof raw === "string") throw invalidParameter("Invalid object", path);
    return parseShape(shape, raw, path);
  });
}

/** Any keys, values of one kind. */
export function dictionary<T>(of: Spec<T>): Spec<Record<string, T>> {
  return spec((raw, path) =>
    Object.fromEntries(entries(raw, path, "object").map(([key, value]) => [key, of.parse(value, `${path}[${key}]`)])),
  );
}

/** An empty string unsets: it is read as null. */
export function emptyable<T>(of: Spec<T>): Spec<T | null> {
  return spec((raw, path) => (raw === "" ? null : of.parse(raw, path)));
}

export function either<A, B>(a: Spec<A>, b: Spec<B>): Spec<A | B> {
  return spec((raw, path) => {
    try {
      return a.parse(raw, path);
    } catch {
      return b.parse(raw, path);
    }
  });
}

export function required<T>(of: Spec<T>): Spec<T> & { readonly required: true } {
  return { required: true, parse: of.parse };
}

/** Something Stripe takes and this sandbox takes too without acting on it. */
export function accepted(): Spec<Raw> {
  return spec((raw) => raw);
}

/** A change of metadata: null under a key deletes it, null as a whole clears everything. */
export type MetadataPatch = Record<string, string | null> | null;

export function metadata(): Spec<MetadataPatch> {
  return spec((raw, path) => {
    if (raw === "") return null;
    const found = entries(raw, path, "object");
    if (found.length > 50) throw invalidParameter("Metadata cannot have more than 50 keys", path);
    return Object.fromEntries(
      found.map(([key, value]) => {
        if (key.length > 40) throw invalidParameter(`Metadata keys can be at most 40 characters: ${key}`, path);
        if (typeof value !== "string") throw invalidParameter("Metadata values must be strings", `${path}[${key}]`);
        if (value.length > 500) {
          throw invalidParameter("Metadata values can have up to 500 characters", `${path}[${key}]`);
        }
        return [key, value === "" ? null : value];
      }),
    );
  });
}

/** Applies a patch as Stripe does: given keys are merged, empty ones are deleted. */
export function mergeMetadata(before: Record<string, string> | null | undefined, patch: MetadataPatch | undefined) {
  if (patch === undefined) return before ?? {};
  if (patch === null) return {};
  const merged: Record<string, string> = { ...before };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = value;
  }
  return merged;
}

/** `created` and its like: an instant, or bounds. */
export interface Range {
  gt?: number;
  gte?: number;
  lt?: number;
  lte?: number;
}

export function range(): Spec<Range> {
  return spec((raw, path) => {
    if (typeof raw === "string") {
      const at = integer().parse(raw, path);
      return { gte: at, lte: at };
    }
    return object({ gt: integer(), gte: integer(), lt: integer(), lte: integer() }).parse(raw, path);
  });
}

export function inRange(value: number, { gt, gte, lt, lte }: Range): boolean {
  return !(
    (gt !== undefined && value <= gt) ||
    (gte !== undefined && value < gte) ||
    (lt !== undefined && value >= lt) ||
    (lte !== undefined && value > lte)
  );
}

/** What every list takes. */
export const pagination = {
  limit: integer({ min: 1, max: 100 }),
  starting_after: string(),
  ending_before: string(),
} satisfies Shape;

export const address = object({
  city: emptyable(string()),
  country: emptyable(string()),
  line1: emptyable(string()),
  line2: emptyable(string()),
  postal_code: emptyable(string()),
  state: emptyable(string()),
});

/** Checks a whole set of parameters; the first thing wrong is the error. */
export function parseShape<S extends Shape>(shape: S, raw: RawObject, path = ""): Params<S> {
  const at = (key: string) => (path ? `${path}[${key}]` : key);
  const unknown = Object.keys(raw).filter((key) => !Object.hasOwn(shape, key));
  if (unknown[0] !== undefined) {
    const plural = unknown.length > 1 ? "s" : "";
    throw invalidParameter(
      `Received unknown parameter${plural}: ${unknown.map(at).join(", ")}`,
      at(unknown[0]),
      "parameter_unknown",
    );
  }
  const out: Record<string, unknown> = {};
  for (const [key, of] of Object.entries(shape)) {
    const value = raw[key];
    if (value !== undefined) out[key] = of.parse(value, at(key));
    else if (of.required) throw invalidParameter(`Missing required param: ${at(key)}.`, at(key), "parameter_missing");
  }
  return out as Params<S>;
}
