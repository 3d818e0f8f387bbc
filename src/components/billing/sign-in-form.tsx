"use client";
// Signing in: a link by mail, another account, or in the demo one click as somebody.
import { type FormEvent, useState } from "react";
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
  onEmail: (email: string) => Promise<void>;
  providers?: readonly SignInProvider[];
  onProvider?: (id: string) => void;
  /** Only in the demo. */
  demoPersons?: readonly DemoPerson[];
  onDemoPerson?: (email: string) => Promise<void> | void;
  defaultEmail?: string;
  /** What went wrong before: a link that is too old, say. */
  error?: string | null;
}

export function SignInForm({
  onEmail,
  providers = [],
  onProvider,
  demoPersons = [],
  onDemoPerson,
  defaultEmail = "",
  error = null,
}: SignInFormProps) {
  const [email, setEmail] = useState(defaultEmail);
  const [busy, setBusy] = useState<string | null>(null);
  const [sent, setSent] = useState(false);
  const [problem, setProblem] = useState<string | null>(error);

  async function run(what: string, act: () => Promise<void> | void, failed: string): Promise<boolean> {
    setBusy(what);
    setProblem(null);
    try {
      await act();
      return true;
    } catch {
      setProblem(failed);
      return false;
    } finally {
      setBusy(null);
    }
  }

  async function submit(event: FormEvent) {
    event.preventDefault();
    const went = await run("email", () => onEmail(email.trim()), "The mail could not be sent. Try again in a moment.");
    if (went) setSent(true);
  }

  if (sent) {
    return (
      <div role="status" className="grid gap-1 border-l-2 border-accent bg-accent-tint px-4 py-3">
        <p className="font-medium">Look into your mail</p>
        <p className="text-sm text-ink-2">
          A sign-in link is on its way to {email}. It works once and ends in an hour.{" "}
          <TextButton onClick={() => setSent(false)}>Use another address</TextButton>
        </p>
      </div>
    );
  }

  return (
    <div className="grid gap-5">
      {demoPersons.length > 0 ? (
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
                  onClick={() =>
                    run(person.email, () => onDemoPerson?.(person.email), "That did not work. Try again in a moment.")
                  }
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
      {demoPersons.length > 0 ? <Or /> : null}
      <form onSubmit={submit} className="grid gap-3">
        <Field label="Email" error={problem}>
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
        <Button
          type="submit"
          variant={demoPersons.length > 0 ? "secondary" : "primary"}
          wide
          loading={busy === "email"}
        >
          Email me a sign-in link
        </Button>
      </form>
      {providers.length > 0 ? (
        <>
          <Or />
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
