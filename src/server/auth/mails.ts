// What the sign-in mail says.
import { composeMail, type Mail } from "../mail";

/** How long a sign-in link works. */
export const SIGN_IN_LINK_MINUTES = 60;

/** The mail with a sign-in link. The host is named, so that a person can see whom the link is for. */
export function signInMail({ to, url }: { to: string; url: string }): Mail {
  const { host } = new URL(url);
  return composeMail({
    to,
    subject: `Sign in to ${host}`,
    paragraphs: [`Use this link to sign in to Billfold at ${host} as ${to}.`, "It works once, and for one hour."],
    action: { label: "Sign in", url },
    footnotes: ["You did not ask for it? Then nothing has happened, and you can delete this mail. Do not forward it."],
  });
}
