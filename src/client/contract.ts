// What services may call: each procedure of the router with its kind, input and output, as plain types. The package gets
// this file written out in full (`npm run build:client`), so that it needs nothing of the server.
import type { BillingFailure } from "~/server/api/errors";
import type { AppRouter } from "~/server/api/root";

/** Procedures that only a person who is signed in can call: no key opens them. */
type ForPeople = "organizations.list" | "members.leave" | "invitations.accept" | "gifts.claim" | "platformApiKeys";

/** A number with a unit, such as `Credits`: the rules keep units apart by it, a service sees the number. */
type Branded = number & { readonly __unit: string };

type Plain<T> = T extends Branded
  ? number
  : T extends string | number | boolean | bigint | null | undefined | Date
    ? T
    : T extends readonly (infer Item)[]
      ? Plain<Item>[]
      : T extends object
        ? { [Key in keyof T]: Plain<T[Key]> }
        : T;

interface BuiltProcedure {
  _def: { type: string; $types: { input: unknown; output: unknown } };
}

interface ProcedureOf<T extends BuiltProcedure> {
  kind: T["_def"]["type"];
  input: Plain<T["_def"]["$types"]["input"]>;
  output: Plain<T["_def"]["$types"]["output"]>;
}

type RouterOf<T, Prefix extends string> = {
  [Name in keyof T as `${Prefix}${Name & string}` extends ForPeople ? never : Name]: T[Name] extends BuiltProcedure
    ? ProcedureOf<T[Name]>
    : RouterOf<T[Name], `${Prefix}${Name & string}.`>;
};

/** Every procedure that a service may call, by router and name. */
export type Contract = RouterOf<AppRouter["_def"]["record"], "">;

/** What Billfold may answer instead of a result. */
export type ServerFailureCode = BillingFailure["code"];
