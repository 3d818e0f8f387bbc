// Organizations: made, found, renamed. Who belongs to them is in `members.ts`.
import type { ActingRole, OrganizationRole } from "~/domain/capabilities";
import type { BurnOrder } from "~/domain/credits";
import { BillingError } from "~/domain/errors";
import { isReadable } from "~/domain/text";
import type { Person } from "../auth/actor";
import { asOrganization, asPlatform, type Transaction } from "../db";
import { enqueue } from "../db/enqueue";
import { newId } from "../db/keys";
import { slugCandidates } from "./slugs";

const MAX_LISTED = 500;

export interface OrganizationSummary {
  id: string;
  name: string;
  slug: string;
  role: ActingRole;
}

export interface OrganizationDetails {
  id: string;
  name: string;
  slug: string;
  burnOrder: BurnOrder;
  /** It had no trial yet: the first plan with one begins with it. */
  trialAvailable: boolean;
}

/**
 * Makes an organization with an empty credit account, and with its owner unless a service makes it.
 * The slug comes from the name; names may repeat, slugs never do.
 */
export async function createOrganization(request: {
  name: string;
  /** The person who becomes its owner. */
  owner?: string | null;
  now: Date;
}): Promise<{ id: string; slug: string }> {
  const { name, owner, now } = request;
  const id = newId(now);
  return asPlatform(async (tx) => {
    const slug = await insertOrganization(tx, { id, name, createdAt: now });
    await tx.creditAccount.create({ data: { organizationId: id, updatedAt: now } });
    if (owner)
      await tx.membership.create({ data: { organizationId: id, userId: owner, role: "owner", createdAt: now } });
    return { id, slug };
  });
}

/** Asking first whether a slug is free would race; the unique index answers, and waits for whoever is taking it now. */
async function insertOrganization(
  tx: Transaction,
  organization: { id: string; name: string; createdAt: Date },
): Promise<string> {
  const candidates = slugCandidates(organization.name);
  while (true) {
    const slug = candidates.next().value;
    const { count } = await tx.organization.createMany({ data: [{ ...organization, slug }], skipDuplicates: true });
    if (count === 1) return slug;
  }
}

/** The organizations a person belongs to, by name. */
export async function listOrganizations(userId: string): Promise<(OrganizationSummary & { role: OrganizationRole })[]> {
  const memberships = await asPlatform((tx) =>
    tx.membership.findMany({
      where: { userId, organization: { deletedAt: null } },
      select: { role: true, organization: { select: { id: true, name: true, slug: true } } },
      orderBy: [{ organization: { name: "asc" } }, { organizationId: "asc" }],
      take: MAX_LISTED,
    }),
  );
  return memberships.map(({ role, organization }) => ({ ...organization, role }));
}

/** An organization by its id, for whom access was already decided. @throws BillingError NOT_FOUND */
export async function getOrganization(organizationId: string): Promise<OrganizationDetails> {
  const organization = await asOrganization(organizationId, (tx) =>
    tx.organization.findFirst({ where: { id: organizationId, deletedAt: null }, select: DETAILS }),
  );
  if (!organization) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
  return toDetails(organization);
}

/**
 * The organization of an address, with what the person is in it.
 * @throws BillingError NOT_FOUND where there is none, or none that this person may see
 */
export async function getOrganizationBySlug(
  slug: string,
  person: Person,
): Promise<OrganizationDetails & { role: ActingRole }> {
  const found = await asPlatform(async (tx) =>
    // An address may say anything, and there are characters that the database cannot be asked for.
    isReadable(slug)
      ? tx.organization.findFirst({
          where: { slug, deletedAt: null },
          select: { ...DETAILS, memberships: { where: { userId: person.userId }, select: { role: true } } },
        })
      : null,
  );
  const role: ActingRole | undefined = found?.memberships[0]?.role ?? (person.isPlatformAdmin ? "platform" : undefined);
  if (!found || !role) throw new BillingError("NOT_FOUND", "There is no such organization.", { slug });
  return { ...toDetails(found), role };
}

/**
 * Changes an organization's name; its slug, which links rely on, stays. Stripe is told by a job, for its invoices.
 * @throws BillingError NOT_FOUND
 */
export async function renameOrganization({
  organizationId,
  name,
}: {
  organizationId: string;
  name: string;
}): Promise<void> {
  await updateOrganization(organizationId, { name }, (tx) =>
    enqueue(tx, "rename-customer", { organizationId }, { key: `rename-customer:${organizationId}` }),
  );
}

/** Chooses which lots are spent first, from the next take on. @throws BillingError NOT_FOUND */
export async function setBurnOrder(request: { organizationId: string; burnOrder: BurnOrder }): Promise<void> {
  await updateOrganization(request.organizationId, { burnOrder: request.burnOrder });
}

async function updateOrganization(
  organizationId: string,
  change: { name: string } | { burnOrder: BurnOrder },
  then: (tx: Transaction) => Promise<void> = async () => {},
): Promise<void> {
  await asOrganization(organizationId, async (tx) => {
    const { count } = await tx.organization.updateMany({
      where: { id: organizationId, deletedAt: null },
      data: change,
    });
    if (count === 0) throw new BillingError("NOT_FOUND", "There is no such organization.", { organizationId });
    await then(tx);
  });
}

const DETAILS = { id: true, name: true, slug: true, burnOrder: true, trialUsedAt: true } as const;

function toDetails(
  row: Omit<OrganizationDetails, "trialAvailable"> & { trialUsedAt: Date | null },
): OrganizationDetails {
  const { id, name, slug, burnOrder, trialUsedAt } = row;
  return { id, name, slug, burnOrder, trialAvailable: trialUsedAt === null };
}
