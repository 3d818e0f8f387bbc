// What the billing pages know of the organization they show, and of what the person may do there.
import { can } from "~/domain/capabilities";
import type { BurnOrder } from "~/domain/credits";
import type { requireOrganization } from "../../../_trpc/server";

export interface OrganizationView {
  id: string;
  name: string;
  slug: string;
  burnOrder: BurnOrder;
  /** May subscribe, buy credits, open Stripe's portal. */
  mayManage: boolean;
  /** May choose the order in which credits are spent. */
  mayConfigure: boolean;
  /** May end what services have set aside. Whoever spends may end their own holds too, but does so from their program. */
  mayRelease: boolean;
  /** May give the organization's credits to others. */
  mayTransfer: boolean;
}

type Found = Awaited<ReturnType<typeof requireOrganization>>["organization"];

export function organizationView({ id, name, slug, burnOrder, role }: Found): OrganizationView {
  const mayManage = can(role, "billing:manage");
  return {
    id,
    name,
    slug,
    burnOrder,
    mayManage,
    mayConfigure: can(role, "credits:configure"),
    mayRelease: can(role, "credits:release") && can(role, "credits:configure"),
    mayTransfer: can(role, "credits:transfer"),
  };
}
