// Why signing in did not work, in words. The codes are NextAuth's and those of our own sign-in rules.

const ACCOUNT_ELSEWHERE = "Signing in with that account did not work. Try again, or let us mail you a link.";

const REFUSALS: Record<string, string> = {
  Verification: "This sign-in link is too old, or was used already. Ask for a new one below.",
  EmailSignin: "The mail could not be sent. Check the address, and try again in a moment.",
  TooManyLinks: "Several links were mailed to this address already. Use the newest, or try again in 15 minutes.",
  EmailNotVerified: "That account has no verified email address. Verify it there first, or let us mail you a link.",
  OAuthAccountNotLinked: "This address signs in another way. Let us mail you a link instead.",
  OAuthSignin: ACCOUNT_ELSEWHERE,
  OAuthCallback: ACCOUNT_ELSEWHERE,
  OAuthCreateAccount: ACCOUNT_ELSEWHERE,
  Callback: ACCOUNT_ELSEWHERE,
  CredentialsSignin: "This person is not in the demo. Choose another.",
  AccessDenied: "This address may not sign in here.",
  Configuration: "Signing in is not set up correctly here. Tell whoever runs this Billfold.",
  SessionRequired: "Sign in to see this page.",
};

/** A sentence for the code in an address or an answer. */
export function refusalWords(code: string): string {
  return REFUSALS[code] ?? "Signing in did not work. Try again.";
}
