"use client";
// What running work has set aside. Absent while nothing has; whoever answers for the billing may release a hold.
import { creditsInWords } from "~/components/billing/format";
import { HoldsTable, type OpenHold } from "~/components/billing/holds-table";
import { ZoneNote } from "~/components/billing/local-time";
import { useViewer } from "~/components/billing/viewer";
import { Panel, PanelFoot } from "~/components/ui/panel";
import { toastDone } from "~/components/ui/toast";
import type { RouterOutputs } from "~/server/api/root";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";
import type { OrganizationView } from "../_shared/organization-view";

const REFRESH_MS = 15_000;

type Holds = RouterOutputs["credits"]["holds"];

export interface HoldsPanelProps {
  organization: OrganizationView;
  /** Absent where they could not be read with the page. */
  initial: Holds | undefined;
  shown: number;
  now: Date;
}

export function HoldsPanel({ organization, initial, shown, now }: HoldsPanelProps) {
  const { locale } = useViewer();
  const utils = trpc.useUtils();
  const organizationId = organization.id;
  const { data } = trpc.credits.holds.useQuery(
    { organizationId, limit: shown },
    { initialData: initial, refetchInterval: REFRESH_MS, refetchOnWindowFocus: "always" },
  );
  const release = trpc.credits.releaseHold.useMutation({ onSettled: () => utils.credits.invalidate() });
  if (!data || data.items.length === 0) return null;
  const more = data.nextCursor !== null;
  const held = data.items.reduce((sum, hold) => sum + hold.remaining, 0);

  return (
    <Panel
      title={more ? `The newest ${shown} holds` : `${creditsInWords(held, locale)} held for running work`}
      note={<ZoneNote at={now} />}
    >
      <HoldsTable
        holds={data.items.map(holdInView)}
        onRelease={
          organization.mayRelease
            ? async (holdId) => {
                const { released } = await release.mutateAsync({ organizationId, holdId });
                toastDone("The hold is released", {
                  description: `${creditsInWords(released, locale)} can be spent again.`,
                });
              }
            : undefined
        }
        describeError={failureWords}
      />
      <PanelFoot>
        <p>
          A service holds credits while it works on something whose cost it does not know yet. It takes what it used and
          frees the rest; a hold that nobody ends is freed by itself.
        </p>
      </PanelFoot>
    </Panel>
  );
}

export function holdInView(hold: Holds["items"][number]): OpenHold {
  const { holdId, apiKeyName, memberName, project, eventName, amount, captured, remaining, createdAt, leaseEndsAt } =
    hold;
  const behalf = apiKeyName !== null && memberName !== null ? `for ${memberName}` : null;
  const detail = [behalf, project === null ? null : `project ${project}`].filter((part) => part !== null).join(", ");
  return {
    id: holdId,
    holder: apiKeyName ?? memberName ?? "a service",
    detail: detail || null,
    eventName,
    amount,
    captured,
    remaining,
    createdAt,
    leaseEndsAt,
  };
}
