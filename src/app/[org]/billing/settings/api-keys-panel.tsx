"use client";
// The keys with which services spend credits: those in use, and folded under them those revoked.
import { ApiKeysTable, CreateApiKeyDialog } from "~/components/billing/api-keys-table";
import { EmptyState } from "~/components/ui/empty-state";
import { Numbers, Panel } from "~/components/ui/panel";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";

export interface ApiKeysPanelProps {
  organizationId: string;
  initialKeys: RouterOutputs["apiKeys"]["list"];
  now: Date;
}

export function ApiKeysPanel({ organizationId, initialKeys, now }: ApiKeysPanelProps) {
  const utils = trpc.useUtils();
  const { data: keys } = trpc.apiKeys.list.useQuery({ organizationId }, { initialData: initialKeys });
  const refresh = () => utils.apiKeys.list.invalidate({ organizationId });
  const create = trpc.apiKeys.create.useMutation({ onSettled: refresh });
  const revoke = trpc.apiKeys.revoke.useMutation({ onSettled: refresh });
  const inUse = keys.filter((key) => key.revokedAt === null);
  const revoked = keys.filter((key) => key.revokedAt !== null);

  return (
    <Panel
      title="API keys"
      action={
        <CreateApiKeyDialog
          onCreate={async ({ name }) => {
            const { key } = await create.mutateAsync({ organizationId, name });
            // The secret lives in the dialog alone, not in the cache of answers.
            create.reset();
            return { secret: key };
          }}
          describeError={failureWords}
        />
      }
    >
      {inUse.length > 0 ? (
        <ApiKeysTable
          keys={inUse}
          now={now}
          onRevoke={async (id) => void (await revoke.mutateAsync({ organizationId, apiKeyId: id }))}
          describeError={failureWords}
        />
      ) : (
        <EmptyState
          title="No keys are in use"
          text="A service needs a key to spend credits of this organization. Create one for each service, so that each can be revoked alone."
        />
      )}
      {revoked.length > 0 ? (
        <Numbers summary={revoked.length === 1 ? "One revoked key" : `${revoked.length} revoked keys`}>
          <ApiKeysTable keys={revoked} now={now} caption="Revoked API keys" />
        </Numbers>
      ) : null}
    </Panel>
  );
}
