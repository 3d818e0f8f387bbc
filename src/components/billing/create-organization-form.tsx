"use client";
// The first thing a new person does: name an organization, and become its owner.
import { type FormEvent, useState } from "react";
import { Button } from "../ui/button";
import { Field } from "../ui/field";
import { Input } from "../ui/input";

export interface CreateOrganizationFormProps {
  /** Throws with a sentence to show when it cannot be done. */
  onCreate: (input: { name: string }) => Promise<void>;
  describeError?: (error: unknown) => string;
}

export function CreateOrganizationForm({
  onCreate,
  describeError = (error) => (error instanceof Error ? error.message : "The organization could not be created."),
}: CreateOrganizationFormProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get("name") ?? "").trim();
    setBusy(true);
    setError(null);
    try {
      await onCreate({ name });
    } catch (thrown) {
      setError(describeError(thrown));
      setBusy(false);
      return;
    }
    // Stays busy: the next page is on its way, and a second press would make a second organization.
  }

  return (
    <form onSubmit={submit} className="grid gap-4">
      <Field label="Organization name" hint="What its members see. You can change it later." error={error}>
        <Input name="name" required minLength={2} maxLength={80} autoComplete="organization" />
      </Field>
      <Button type="submit" variant="primary" wide loading={busy}>
        Create organization
      </Button>
    </form>
  );
}
