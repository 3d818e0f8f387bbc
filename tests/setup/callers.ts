// Callers of the procedures around organizations, as whoever a test wants to be.

import { apiKeysRouter } from "~/server/api/routers/api-keys";
import { invitationsRouter } from "~/server/api/routers/invitations";
import { membersRouter } from "~/server/api/routers/members";
import { organizationsRouter } from "~/server/api/routers/organizations";
import { createCallerFactory, router } from "~/server/api/trpc";
import type { Actor } from "~/server/auth/actor";
import { NOW } from "./tenancy";

const createCaller = createCallerFactory(
  router({
    organizations: organizationsRouter,
    members: membersRouter,
    invitations: invitationsRouter,
    apiKeys: apiKeysRouter,
  }),
);

/** The procedures as an actor calls them, at an instant. */
export function callerFor(actor: Actor | null, now: Date = NOW) {
  return createCaller({ actor, now });
}

export const SERVICE_KEY_ID = "00000000-0000-7000-8000-00000000000f";

/** A service with a key of an organization, or with null of the platform. */
export function serviceOf(organizationId: string | null): Actor {
  return { kind: "service", apiKeyId: SERVICE_KEY_ID, keyName: "test", organizationId };
}
