"use client";
// The credits page, alive: lots and balance are asked again every few seconds; the ledger on coming back.
import Link from "next/link";
import { useEffect, useMemo } from "react";
import { useViewer } from "~/components/billing/viewer";
import { Attention } from "~/components/ui/attention";
import { LinkButton } from "~/components/ui/link-button";
import { Columns, Page, PageHead, Stack } from "~/components/ui/page";
import type { DailyUse } from "~/domain/forecast";
import type { RouterOutputs } from "~/server/api/root";
import { trpc } from "../../../_trpc/react";
import { creditNotices } from "../_shared/credit-notices";
import type { OrganizationView } from "../_shared/organization-view";
import { outlookOf } from "../_shared/runway";
import type { Filter } from "./filter";
import { GiftsPanel } from "./gifts-panel";
import { HoldsPanel } from "./holds-panel";
import { LotsPanel } from "./lots-panel";
import { OrderPanel } from "./order-panel";
import { PacksPanel } from "./packs-panel";
import { TransactionsPanel } from "./transactions-panel";

const REFRESH_MS = 15_000;

export interface CreditsProps {
  organization: OrganizationView;
  initialBalance: RouterOutputs["credits"]["balance"];
  initialGrants: RouterOutputs["credits"]["grants"];
  initialConcerns: RouterOutputs["billing"]["concerns"];
  /** Absent where they could not be read with the page. */
  initialHolds: RouterOutputs["credits"]["holds"] | undefined;
  holdsShown: number;
  initialTransactions: RouterOutputs["credits"]["transactions"] | undefined;
  initialProducts: RouterOutputs["creditProducts"]["list"] | undefined;
  /** Absent as well for those who may not give credits away. */
  initialGifts: RouterOutputs["gifts"]["list"] | undefined;
  initialFilter: Filter;
  subscription: RouterOutputs["subscription"]["get"];
  recentUse: readonly DailyUse[];
  closedShown: number;
  now: Date;
}

export function Credits(props: CreditsProps) {
  const { organization, subscription, recentUse, now } = props;
  const viewer = useViewer();
  const organizationId = organization.id;
  const live = { refetchInterval: REFRESH_MS, refetchOnWindowFocus: "always" } as const;
  const { data: balance } = trpc.credits.balance.useQuery(
    { organizationId },
    { ...live, initialData: props.initialBalance },
  );
  const { data: grants } = trpc.credits.grants.useQuery(
    { organizationId, closedLimit: props.closedShown },
    { ...live, initialData: props.initialGrants },
  );
  const { data: concerns } = trpc.billing.concerns.useQuery(
    { organizationId },
    { ...live, initialData: props.initialConcerns },
  );
  const open = useMemo(() => grants.filter((grant) => grant.ended === null), [grants]);
  const closed = useMemo(() => grants.filter((grant) => grant.ended !== null), [grants]);
  const outlook = useMemo(
    () => outlookOf({ lots: open, burnOrder: organization.burnOrder, subscription, recentUse, now }),
    [open, organization.burnOrder, subscription, recentUse, now],
  );

  // The panel may come after the browser has looked for the anchor.
  useEffect(() => {
    if (window.location.hash === "#packs") document.getElementById("packs")?.scrollIntoView({ block: "start" });
  }, []);

  return (
    <Page>
      <PageHead
        title="Credits"
        actions={
          organization.mayManage ? (
            <LinkButton href="#packs" variant="primary">
              Buy credits
            </LinkButton>
          ) : null
        }
      />
      <Attention
        items={creditNotices({ ...concerns, balance, lots: open }, viewer).map(({ buy, ...notice }) => ({
          ...notice,
          action: buy && organization.mayManage ? <Link href="#packs">Buy credits</Link> : undefined,
        }))}
      />
      <Stack>
        <LotsPanel balance={balance} open={open} closed={closed} runway={outlook.runway} now={now} />
        <HoldsPanel organization={organization} initial={props.initialHolds} shown={props.holdsShown} now={now} />
        <Columns split="6-6">
          <PacksPanel
            organization={organization}
            initial={props.initialProducts}
            subscriptionCurrency={subscription?.currency ?? null}
            perDay={outlook.pace?.perDay ?? null}
          />
          <OrderPanel organization={organization} />
        </Columns>
        <TransactionsPanel
          organization={organization}
          initial={props.initialTransactions}
          initialFilter={props.initialFilter}
          now={now}
        />
        {organization.mayTransfer ? (
          <GiftsPanel organizationId={organizationId} initial={props.initialGifts} now={now} />
        ) : null}
      </Stack>
    </Page>
  );
}
