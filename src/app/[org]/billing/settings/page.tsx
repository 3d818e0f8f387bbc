// Settings of an organization: its name, its people, its API keys and what each may spend; each shown to whoever may see it, changed by whoever may.
import type { Metadata } from "next";
import { Suspense } from "react";
import { NoPermissionState } from "~/components/ui/empty-state";
import { Page, PageHead, Stack } from "~/components/ui/page";
import { Panel } from "~/components/ui/panel";
import { can } from "~/domain/capabilities";
import { now } from "~/server/clock";
import { caller, requireOrganization } from "../../../_trpc/server";
import { ApiKeysPanel } from "./api-keys-panel";
import { BudgetsPanel } from "./budgets-panel";
import { InvitationsPanel } from "./invitations-panel";
import { MembersPanel } from "./members-panel";
import { NamePanel } from "./name-panel";
import { SettingsSkeleton } from "./settings-skeleton";

export const metadata: Metadata = { title: "Settings" };

export default async function SettingsPage({ params }: { params: Promise<{ org: string }> }) {
  const { org } = await params;
  // Before anything is sent: whoever may not come in gets a real redirect or a real 404.
  const admitted = await requireOrganization(org, `/${org}/billing/settings`);
  return (
    <Suspense fallback={<SettingsSkeleton />}>
      <LoadedSettings {...admitted} />
    </Suspense>
  );
}

async function LoadedSettings({ organization, person }: Awaited<ReturnType<typeof requireOrganization>>) {
  const { id: organizationId, name, role } = organization;
  const managesMembers = can(role, "members:manage");
  const managesKeys = can(role, "api-keys:manage");
  const api = await caller();
  const [members, invitations, keys, budgets] = await Promise.all([
    api.members.list({ organizationId }),
    managesMembers ? api.invitations.list({ organizationId }) : null,
    managesKeys ? api.apiKeys.list({ organizationId }) : null,
    api.budgets.list({ organizationId }),
  ]);
  const at = now();
  return (
    <Page>
      <PageHead title="Settings" />
      <Stack>
        <NamePanel organizationId={organizationId} name={name} canChange={managesMembers} />
        <MembersPanel
          organizationId={organizationId}
          organizationName={name}
          initialMembers={members}
          userId={person.userId}
          role={role}
        />
        {invitations ? (
          <InvitationsPanel organizationId={organizationId} initialInvitations={invitations} role={role} now={at} />
        ) : null}
        {keys ? (
          <ApiKeysPanel organizationId={organizationId} initialKeys={keys} now={at} />
        ) : (
          <Panel title="API keys">
            <NoPermissionState what="API keys" />
          </Panel>
        )}
        <BudgetsPanel organizationId={organizationId} initialBudgets={budgets} manages={can(role, "budgets:manage")} />
      </Stack>
    </Page>
  );
}
