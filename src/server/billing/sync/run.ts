// What every part of a synchronization is given and tells, and whether what it looks at is this organization's.
import { BillingError } from "~/domain/errors";
import type { Stripe } from "../../stripe";
import { raiseAlert } from "../alerts";
import { attachIfAlive, findOwner } from "../customers";
import type { SyncLock } from "../sync-lock";

export interface SyncRun {
  lock: SyncLock;
  /** The patient client of jobs, or the one for a person who waits. */
  stripe: Stripe;
  now: Date;
  /** Why we look: an event's type and id, `checkout return`. Kept with each change. */
  cause: string;
}

/** What a look at Stripe came to. */
export interface SyncResult {
  /** For the event log. */
  sentence: string;
  /** Something of it is not known to us, so nothing was guessed: an alert is open, and it is to be looked at again later. */
  quarantined: boolean;
}

export const told = (sentence: string): SyncResult => ({ sentence, quarantined: false });
export const quarantined = (sentence: string): SyncResult => ({ sentence, quarantined: true });

/** Several looks as one; what is said twice is said once. */
export function together(results: readonly (SyncResult | null)[]): SyncResult {
  const said = results.filter((result) => result !== null);
  return {
    sentence: [...new Set(said.map(({ sentence }) => sentence))].join("; "),
    quarantined: said.some((result) => result.quarantined),
  };
}

/** Whose an object says it is, with the ids of it and of what it belongs to. */
export interface Belonging {
  customerId: string | null;
  metadataOrganizationId: string | null;
  objectIds: readonly (string | null)[];
}

/**
 * Refuses what is not this organization's, and remembers its customer where we had none.
 * @returns the refusal, or null
 */
export async function refuseForeign(run: SyncRun, subject: string, belonging: Belonging): Promise<SyncResult | null> {
  const { organizationId } = run.lock;
  const { customerId, metadataOrganizationId, objectIds } = belonging;
  const owner = await findOwner({ customerId, organizationId: metadataOrganizationId, objectIds });
  if (owner.kind === "organization" && owner.organizationId === organizationId) {
    if (customerId && !owner.isCustomerKnown) await attachIfAlive(run.lock, run.stripe, customerId);
    return null;
  }
  if (owner.kind === "organization") {
    throw new BillingError("BUSY", "The object belongs to another organization than its event said.", { subject });
  }
  const isMismatch = owner.kind === "mismatch";
  const alert = {
    organizationId: null,
    kind: isMismatch ? ("customer_mismatch" as const) : ("unknown_customer" as const),
    subject,
    message: isMismatch
      ? "An object names one organization in its metadata while its customer is another's. Nothing was changed."
      : "An object belongs to a customer that no organization has. Nothing was changed.",
    details: { customerId, metadataOrganizationId, cause: run.cause },
  };
  await run.lock.save((tx) => raiseAlert(tx, alert, run.now));
  return quarantined(
    isMismatch ? "refused: its metadata names another organization" : "refused: its customer is unknown",
  );
}
