// Who is calling: a person who is signed in, a service with an API key, or nobody.

export interface Person {
  kind: "person";
  userId: string;
  email: string;
  name: string | null;
  isPlatformAdmin: boolean;
}

export interface Service {
  kind: "service";
  apiKeyId: string;
  keyName: string;
  /** null for a platform key, which may act for any organization. */
  organizationId: string | null;
  /** The key was accepted from this process's memory; it may have been revoked since. */
  isUnverified?: boolean;
}

export type Actor = Person | Service;

/** How the ledger and other records name who did it. */
export function actorName(actor: Actor): string {
  return actor.kind === "person" ? `user:${actor.userId}` : `key:${actor.apiKeyId}`;
}
