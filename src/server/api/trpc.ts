// tRPC's set-up: context, errors, and the procedures by what a caller must be.
import { getTRPCErrorFromUnknown, initTRPC, TRPCError } from "@trpc/server";
import { z } from "zod";
import { type ActingRole, type Capability, can } from "~/domain/capabilities";
import { BillingError } from "~/domain/errors";
import type { Actor } from "../auth/actor";
import { roleIn, spendingRoleIn } from "../billing/access";
import { requireValidApiKey } from "../billing/api-keys";
import { failureOf, toTRPCError } from "./errors";
import { transformer } from "./transformer";

export interface Context {
  actor: Actor | null;
  /** Set where the credentials that were sent are no good: then every procedure refuses, the public ones too. */
  refusal?: BillingError;
  /** The instant of the request: the one time that everything in it uses. */
  now: Date;
}

const t = initTRPC.context<Context>().create({
  transformer,
  isDev: false, // never a stack in an answer, whatever NODE_ENV says
  errorFormatter({ shape, error }) {
    const { failure, message } = failureOf(error);
    return { ...shape, message, data: { ...shape.data, billing: failure } };
  },
});

export const router = t.router;
export const createCallerFactory = t.createCallerFactory;

const translateErrors = t.middleware(async ({ next, path }) => {
  const result = await next();
  if (!result.ok) throw toTRPCError(result.error, path);
  return result;
});

const refuseBadCredentials = t.middleware(({ ctx, next }) => {
  if (ctx.refusal) throw ctx.refusal;
  return next();
});

/** For everyone. */
export const publicProcedure = t.procedure.use(translateErrors).use(refuseBadCredentials);

const requireActor = t.middleware(({ ctx, next }) => next({ ctx: { ...ctx, actor: actorOf(ctx) } }));

/** @throws BillingError UNAUTHENTICATED where nobody has said who it is */
export function actorOf({ actor }: Context): Actor {
  if (!actor) throw new BillingError("UNAUTHENTICATED", "Sign in, or send an API key.");
  return actor;
}

/** For a person or a service that said who it is. */
export const actorProcedure = publicProcedure.use(requireActor).use(async ({ ctx, next }) => {
  const { actor } = ctx;
  if (actor.kind === "service" && actor.isUnverified) await requireValidApiKey(actor.apiKeyId);
  return next({ ctx });
});

/** For a person who is signed in. */
export const personProcedure = actorProcedure.use(({ ctx, next }) => {
  if (ctx.actor.kind !== "person") throw new BillingError("FORBIDDEN", "This is for people, not for services.");
  return next({ ctx: { ...ctx, actor: ctx.actor } });
});

/** For platform keys and platform admins. */
export const platformProcedure = actorProcedure.use(({ ctx, next }) => {
  const { actor } = ctx;
  const allowed = actor.kind === "person" ? actor.isPlatformAdmin : actor.organizationId === null;
  if (!allowed) throw new BillingError("FORBIDDEN", "This is for the platform.");
  return next({ ctx });
});

/** Lower case, as the database gives ids back: the engine compares them in memory. */
export const organizationInput = z.object({ organizationId: z.uuid().toLowerCase() });

/** For whoever has the capability in the organization that the input names. Adds `organizationId` and `role` to the context. */
export function organizationProcedure(capability: Capability) {
  return actorProcedure.input(organizationInput).use(async ({ ctx, input, next }) => {
    const role: ActingRole = await roleIn(ctx.actor, input.organizationId);
    requireCapability(role, capability);
    return next({ ctx: { ...ctx, organizationId: input.organizationId, role } });
  });
}

/** Who spends, and when. */
export interface Spending {
  actor: Actor;
  now: Date;
}

/**
 * A mutation for whoever has the capability in the organization that the input names, and for what goes through the ledger's
 * group commit and nowhere else: there it is asked, in the same statement, whether the key is still valid and the organization
 * is there. Services call it for each unit that they sell, and each middleware of tRPC costs as much as the ledger: so what those
 * of `organizationProcedure` do is done here by one function, in the same order.
 */
export function spendingMutation<Input extends z.ZodType<{ organizationId: string }>, Answer>(
  capability: Capability,
  input: Input,
  resolve: (spending: Spending, input: z.output<Input>) => Promise<Answer>,
) {
  const call = async ({ ctx, input: given, path }: Call): Promise<Answer> => {
    try {
      if (ctx.refusal) throw ctx.refusal;
      const actor = actorOf(ctx);
      const { organizationId } = read(organizationInput, given);
      requireCapability(await spendingRoleIn(actor, organizationId), capability);
      return await resolve({ actor, now: ctx.now }, read(input, given));
    } catch (cause) {
      throw toTRPCError(getTRPCErrorFromUnknown(cause), path);
    }
  };
  const procedure = t.procedure.input(unread<Input>()).mutation(call);
  calls.set(procedure, call);
  return procedure;
}

interface Call {
  ctx: Context;
  input: unknown;
  path: string;
}

const calls = new WeakMap<object, (call: Call) => Promise<unknown>>();

/**
 * What a spending mutation does, for whoever calls it at its own cost: tRPC's way to it copies what it is given for each step.
 * @returns undefined for every other procedure
 */
export function directCallOf(procedure: object): ((call: Call) => Promise<unknown>) | undefined {
  return calls.get(procedure);
}

/** An input of a schema's type that is to be read later. */
function unread<Schema extends z.ZodType>(): { _input: z.input<Schema>; _output: unknown } {
  const parser = { parse: (given: unknown) => given };
  return parser as unknown as { _input: z.input<Schema>; _output: unknown };
}

function read<Schema extends z.ZodType>(schema: Schema, given: unknown): z.output<Schema> {
  const { data, error } = schema.safeParse(given);
  if (error) throw new TRPCError({ code: "BAD_REQUEST", cause: error });
  return data as z.output<Schema>;
}

/** @throws BillingError FORBIDDEN `{ role, capability }` */
export function requireCapability(role: ActingRole, capability: Capability): void {
  if (can(role, capability)) return;
  throw new BillingError("FORBIDDEN", "Your role does not allow this.", { role, capability });
}
