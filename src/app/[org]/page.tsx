// An organization's own address leads to its billing.
import { redirect } from "next/navigation";
import { requireOrganization } from "../_trpc/server";

export default async function OrganizationPage({ params }: { params: Promise<{ org: string }> }) {
  const { org } = await params;
  const billing = `/${org}/billing`;
  await requireOrganization(org, billing);
  redirect(billing);
}
