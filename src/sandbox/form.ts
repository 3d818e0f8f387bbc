// Reads Stripe's form encoding: `a[b][c]=1`, `a[0]=x`, `a[]=x`. Only text here; meaning is params.ts's.
import { StripeError } from "./errors";

export type Raw = string | RawObject;
export interface RawObject {
  [key: string]: Raw;
}

const MAX_FIELDS = 2000;
const MAX_DEPTH = 10;

function malformed(message: string): StripeError {
  return new StripeError(400, { type: "invalid_request_error", message }, false, true);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw malformed("Invalid request: the parameters are not valid percent-encoded UTF-8.");
  }
}

function keysOf(name: string): string[] {
  const open = name.indexOf("[");
  if (open <= 0) return [name];
  const rest = name.slice(open);
  if (!/^(\[[^[\]]*\])+$/.test(rest)) throw malformed(`Invalid request: malformed parameter name ${name}`);
  const keys = [name.slice(0, open), ...rest.slice(1, -1).split("][")];
  if (keys.length > MAX_DEPTH) throw malformed(`Invalid request: parameter ${name} is nested too deeply`);
  return keys;
}

function assign(target: RawObject, keys: string[], value: string, name: string): void {
  let node = target;
  for (const [position, given] of keys.entries()) {
    const key = given === "" ? String(Object.keys(node).length) : given;
    if (position === keys.length - 1) {
      if (typeof node[key] === "object")
        throw malformed(`Invalid request: ${name} is given both as a value and as an object`);
      node[key] = value;
      return;
    }
    const existing = node[key];
    if (typeof existing === "string")
      throw malformed(`Invalid request: ${name} is given both as a value and as an object`);
    const next: RawObject = existing ?? Object.create(null);
    node[key] = next;
    node = next;
  }
}

/** Decodes a query string or form body into nested text; throws a 400 for what cannot be read. */
export function decodeForm(text: string, into: RawObject = Object.create(null)): RawObject {
  const pairs = text.split("&").filter((pair) => pair !== "");
  if (pairs.length > MAX_FIELDS) throw malformed("Invalid request: too many parameters");
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    const name = decode(equals < 0 ? pair : pair.slice(0, equals));
    assign(into, keysOf(name), equals < 0 ? "" : decode(pair.slice(equals + 1)), name);
  }
  return into;
}
