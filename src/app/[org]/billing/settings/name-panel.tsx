"use client";
// What the organization is called.
import { useRouter } from "next/navigation";
import { type FormEvent, useState } from "react";
import { Button } from "~/components/ui/button";
import { Fact, Facts } from "~/components/ui/facts";
import { Field } from "~/components/ui/field";
import { Input } from "~/components/ui/input";
import { Panel, PanelBody } from "~/components/ui/panel";
import { toastDone } from "~/components/ui/toast";
import { failureWords } from "../../../_trpc/failures";
import { trpc } from "../../../_trpc/react";

export interface NamePanelProps {
  organizationId: string;
  name: string;
  canChange: boolean;
}

export function NamePanel({ organizationId, name, canChange }: NamePanelProps) {
  const router = useRouter();
  const [typed, setTyped] = useState(name);
  const update = trpc.organizations.update.useMutation({
    onSuccess: (organization) => {
      setTyped(organization.name);
      toastDone(`The organization is now called ${organization.name}`);
      // The header and the page's title are made on the server.
      router.refresh();
    },
  });

  if (!canChange) {
    return (
      <Panel title="Organization">
        <PanelBody>
          <Facts>
            <Fact label="Organization name">{name}</Fact>
          </Facts>
          <p className="mt-3 text-xs text-ink-3">An owner or admin can change it.</p>
        </PanelBody>
      </Panel>
    );
  }

  function submit(event: FormEvent) {
    event.preventDefault();
    update.mutate({ organizationId, name: typed });
  }

  const same = typed.trim() === name;
  return (
    <Panel title="Organization">
      <PanelBody>
        <form onSubmit={submit} className="flex max-w-[36rem] flex-wrap items-start gap-x-2 gap-y-3">
          <Field
            label="Organization name"
            hint="What its members see. Links keep their address."
            error={update.error ? failureWords(update.error) : null}
            className="min-w-0 flex-[1_1_16rem]"
          >
            <Input
              name="name"
              required
              maxLength={80}
              autoComplete="organization"
              value={typed}
              onChange={(event) => {
                setTyped(event.target.value);
                update.reset();
              }}
            />
          </Field>
          <Button type="submit" className="sm:mt-6 max-sm:w-full" disabled={same} loading={update.isPending}>
            Save name
          </Button>
        </form>
      </PanelBody>
    </Panel>
  );
}
