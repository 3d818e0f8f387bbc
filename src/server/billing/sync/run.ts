// What every part of a synchronization is given, and whether what it looks at is this organization's.
import { BillingError } from "~/domain/errors";
import type { Stripe } from "../../stripe";
import { raiseAlert } from "../alerts";
import { attachCustomer, findOwner } from "../customers";
import type { SyncLock } from "../sync-lock";

export interface SyncRun {
  lock: SyncLock;
  /** The patient client of jobs, or the one for a person who waits. */
  stripe: Stripe;
  now: Date;
  /** Why we look: an event's type and id, `checkout return`. Kept with each change. */
  cause: string;
}

/**
 * Refuses what is not this organization's, and remembers its customer where we had none.
 * @returns the sentence of the refusal, or null
 */
export async function refuseForeign(
  run: SyncRun,
  subject: string,
  customerId: string | null,
  metadataOrganizationId: string | null,
): Promise<string | null> {
  const { organizationId } = run.lock;
  const owner = await findOwner({ customerId, organizationId: metadataOrganizationId });
  if (owner.kind === "organization" && owner.organizationId === organizationId) {
    if (customerId) await attachCustomer(run.lock, customerId);
    return null;
  }
  if (owner.kind === "organization") {
    throw new BillingError("BUSY", "The object belongs to another organization than its event said.", { subject });
  }
  await run.lock.save((tx) =>
    raiseAlert(
      tx,
      {
        organizationId: null,
        kind: owner.kind === "mismatch" ? "customer_mismatch" : "unknown_customer",
        subject,
        message:
          owner.kind === "mismatch"
            ? "An object names one organization in its metadata while its customer is another's. Nothing was changed."
            : "An object belongs to a customer that no organization has. Nothing was changed.",
        details: { customerId, metadataOrganizationId },
      },
      run.now,
    ),
  );
  return owner.kind === "mismatch"
    ? "refused: its metadata names another organization"
    : "refused: its customer is unknown";
}
