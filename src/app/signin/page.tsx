// Signing in. Whoever is signed in already goes straight on to where they meant to go, or to their organization.
import type { Metadata } from "next";
import Link from "next/link";
import { redirect } from "next/navigation";
import { NarrowPage } from "~/components/billing/narrow-page";
import { currentPerson } from "~/server/auth/current-person";
import { signInMethods } from "~/server/auth/providers";
import { env } from "~/server/env";
import { homeOrganization } from "../_plans/home-organization";
import { parameter, type SearchParams } from "../_plans/plan-query";
import { PublicHeader } from "../_plans/public-header";
import { caller } from "../_trpc/server";
import { refusalWords } from "./refusals";
import { returnPath } from "./return-path";
import { SignIn } from "./sign-in";

export const metadata: Metadata = { title: "Sign in" };

export default async function SignInPage({ searchParams }: { searchParams: SearchParams }) {
  const query = await searchParams;
  const { NEXTAUTH_URL, STRIPE_API_BASE, BILLFOLD_DEMO } = env();
  const wanted = returnPath(parameter(query, "callbackUrl"), NEXTAUTH_URL);
  if (await currentPerson()) redirect(wanted ?? (await home()));

  const methods = signInMethods();
  const error = parameter(query, "error");
  const nothing = !methods.email && methods.providers.length === 0 && methods.demoPeople.length === 0;
  return (
    <>
      <PublicHeader signInHref={null} />
      <NarrowPage
        title="Sign in to Billfold"
        text={
          nothing ? (
            "No way to sign in is set up here yet: neither mail nor GitHub nor Google. Tell whoever runs this Billfold."
          ) : (
            <p>
              New here? Signing in makes an account. <Link href="/">See the plans</Link>
            </p>
          )
        }
      >
        {nothing ? null : (
          <SignIn
            callbackUrl={wanted ?? "/signin"}
            email={methods.email}
            providers={methods.providers}
            demoPersons={methods.demoPeople.map(({ email, name, role }) => ({ email, name, role }))}
            sent={parameter(query, "sent") === "1"}
            error={error === null ? null : refusalWords(error)}
            mailboxUrl={BILLFOLD_DEMO === "1" && STRIPE_API_BASE ? new URL("/mailbox", STRIPE_API_BASE).href : null}
          />
        )}
      </NarrowPage>
    </>
  );
}

/** Where somebody who asked for no page in particular belongs. */
async function home(): Promise<string> {
  const organization = homeOrganization(await (await caller()).organizations.list());
  return organization ? `/${organization.slug}/billing` : "/new";
}
