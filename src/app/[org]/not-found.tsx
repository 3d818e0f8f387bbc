// For whoever asks for an organization that is not there or not theirs; which of the two is not told.
import { NarrowPage } from "~/components/billing/narrow-page";
import { LinkButton } from "~/components/ui/link-button";
import { PublicHeader } from "../_shell/public-header";

export default function OrganizationNotFound() {
  return (
    <>
      <PublicHeader />
      <NarrowPage
        title="You cannot see this organization"
        text={
          <p>
            Either there is no organization at this address, or you are not a member of it. If you should be, ask one of
            its owners or admins to invite the address you signed in with.
          </p>
        }
      >
        <div className="flex flex-wrap gap-2">
          <LinkButton href="/" variant="primary">
            Go to the start
          </LinkButton>
          <LinkButton href="/new">Create an organization</LinkButton>
        </div>
      </NarrowPage>
    </>
  );
}
