// An address that leads nowhere.
import type { Metadata } from "next";
import { NarrowPage } from "~/components/billing/narrow-page";
import { LinkButton } from "~/components/ui/link-button";
import { PublicHeader } from "./_shell/public-header";

export const metadata: Metadata = { title: "Not found" };

export default function NotFound() {
  return (
    <>
      <PublicHeader />
      <NarrowPage
        title="There is no such page"
        text={<p>The address may be mistyped, or what stood here has moved.</p>}
      >
        <LinkButton href="/" variant="primary">
          Go to the start
        </LinkButton>
      </NarrowPage>
    </>
  );
}
