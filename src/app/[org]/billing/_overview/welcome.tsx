"use client";
import { EmptyState } from "~/components/ui/empty-state";
// The overview of an organization that has nothing yet: what there is to get, and where.
import { LinkButton } from "~/components/ui/link-button";
import { Panel } from "~/components/ui/panel";
import type { OrganizationView } from "../_shared/organization-view";

export function Welcome({ organization }: { organization: OrganizationView }) {
  const base = `/${organization.slug}/billing`;
  if (!organization.mayManage) {
    return (
      <Panel label="Getting started">
        <EmptyState
          title={`${organization.name} has no plan and no credits yet`}
          text="An owner, admin or billing member can choose a plan or buy credits. Balance, usage and invoices will stand here."
          action={<LinkButton href={`${base}/plans`}>See the plans</LinkButton>}
        />
      </Panel>
    );
  }
  return (
    <Panel label="Getting started">
      <EmptyState
        title="Choose a plan, and its credits are here at once"
        text="A plan brings credits each period. Packs of credits never expire, and go with or without a plan. Balance, usage and invoices will stand here."
        action={
          <>
            <LinkButton href={`${base}/plans`} variant="primary">
              Choose a plan
            </LinkButton>
            <LinkButton href={`${base}/credits#packs`}>Buy credits</LinkButton>
          </>
        }
      />
    </Panel>
  );
}
