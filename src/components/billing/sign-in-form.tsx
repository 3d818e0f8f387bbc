"use client";
// Signing in: a link by mail, another account, or in the demo one click as somebody.
import { type FormEvent, type ReactNode, useState } from "react";
import { Avatar } from "../ui/avatar";
import { Button } from "../ui/button";
import { Field } from "../ui/field";
import { Input } from "../ui/input";
import { TextButton } from "../ui/link-button";

export interface SignInProvider {
  id: string;
  /** "GitHub" */
  name: string;
}

export interface DemoPerson {
  email: string;
  name: string;
  /** "Owner of Northwind Robotics" */
  role: string;
}

export interface SignInFormProps {
  /** Absent where no mail can be sent. */
  onEmail?: (email: string) => Promise<void>;
  providers?: readonly SignInProvider[];
  onProvider?: (id: string) => void;
  /** Only in the demo. */
  demoPersons?: readonly DemoPerson[];
  onDemoPerson?: (email: string) => Promise<void> | void;
  defaultEmail?: string;
  /** A link was mailed before this page was opened. */
  defaultSent?: boolean;
  /** Stands under the news that a link was mailed. */
  afterSent?: ReactNode;
  /** What went wrong before: a link that is too old, say. */
  error?: string | null;
  /** Turns what was thrown into a sentence; null for the usual one. */
  describeError?: (error: unknown) => string | null;
}

export function SignInForm({
  onEmail,
  providers = [],
  onProvider,
  demoPersons = [],
  onDemoPerson,
  defaultEmail = "",
  defaultSent = false,
  afterSent,
  error = null,
  describeError = () => null,
}: SignInFormProps) {
  const [email, setEmail] = useState(defaultEmail);
  const [busy, setBusy] = useState<string | null>(null);
  const [sent, setSent] = useState(defaultSent);
  const [mailProblem, setMailProblem] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(error);

  async function mailLink(event: FormEvent) {
    event.preventDefault();
    setBusy("email");
    setProblem(null);
    setMailProblem(null);
    try {
      await onEmail?.(email.trim());
      setSent(true);
    } catch (thrown) {
      setMailProblem(describeError(thrown) ?? "The mail could not be sent. Try again in a moment.");
    }
    setBusy(null);
  }

  async function enterAs(person: DemoPerson) {
    setBusy(person.email);
    setProblem(null);
    try {
      await onDemoPerson?.(person.email);
    } catch (thrown) {
      setProblem(describeError(thrown) ?? "That did not work. Try again in a moment.");
    }
    setBusy(null);
  }

  if (sent) {
    return (
      <div role="status" className="grid gap-1 border-l-2 border-accent bg-accent-tint px-4 py-3">
        <p className="font-medium">Check your mail</p>
        <p className="text-sm text-ink-2">
          A sign-in link is on its way to {email || "you"}. It works once and ends in an hour.{" "}
          <TextButton onClick={() => setSent(false)}>Use another address</TextButton>
        </p>
        {afterSent ? <p className="text-sm text-ink-2">{afterSent}</p> : null}
      </div>
    );
  }

  const demo = demoPersons.length > 0;
  return (
    <div className="grid gap-5">
      {problem ? (
        <p role="alert" className="border-l-2 border-danger bg-danger-tint px-4 py-3 text-sm">
          {problem}
        </p>
      ) : null}
      {demo ? (
        <section aria-labelledby="demo-persons">
          <h2 id="demo-persons" className="mb-2 text-sm">
            Sign in to the demo as
          </h2>
          <ul className="divide-y divide-line rounded-2 border border-line-control">
            {demoPersons.map((person) => (
              <li key={person.email}>
                <button
                  type="button"
                  aria-busy={busy === person.email || undefined}
                  disabled={busy !== null}
                  onClick={() => enterAs(person)}
                  className="flex min-h-13 w-full items-center gap-3 px-3 py-2 text-left text-sm hover:bg-sunken focus-visible:-outline-offset-2 disabled:text-ink-3"
                >
                  <Avatar name={person.name} className="max-sm:!size-7" />
                  <span className="min-w-0 flex-1">
                    <span className="block truncate font-medium">
                      <span className="sr-only">Sign in as </span>
                      {person.name}
                    </span>
                    <span className="sub truncate">{person.role}</span>
                  </span>
                  <span aria-hidden className="text-accent">
                    {busy === person.email ? "…" : "Sign in"}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </section>
      ) : null}
      {onEmail ? (
        <>
          {demo ? <Or /> : null}
          <form onSubmit={mailLink} className="grid gap-3">
            <Field label="Email" error={mailProblem}>
              <Input
                name="email"
                type="email"
                required
                autoComplete="email"
                placeholder="name@company.com"
                value={email}
                onChange={(event) => setEmail(event.target.value)}
              />
            </Field>
            <Button type="submit" variant={demo ? "secondary" : "primary"} wide loading={busy === "email"}>
              Email me a sign-in link
            </Button>
          </form>
        </>
      ) : null}
      {providers.length > 0 ? (
        <>
          {onEmail || demo ? <Or /> : null}
          <div className="grid gap-2">
            {providers.map((provider) => (
              <Button key={provider.id} wide onClick={() => onProvider?.(provider.id)}>
                Continue with {provider.name}
              </Button>
            ))}
          </div>
        </>
      ) : null}
    </div>
  );
}

function Or() {
  return (
    <div
      aria-hidden
      className="flex items-center gap-3 text-xs text-ink-3 before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line"
    >
      or
    </div>
  );
}
