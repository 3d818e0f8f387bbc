"use client";
// A secret that is shown once: copy it now, or make another.
import { Button } from "./button";
import { CopyField } from "./copy-field";

export interface SecretOnceProps {
  /** "API key" */
  label: string;
  secret: string;
  /** Called when the person says it is kept. */
  onDone?: () => void;
}

export function SecretOnce({ label, secret, onDone }: SecretOnceProps) {
  return (
    <div className="grid gap-3 rounded-3 border border-warn-line bg-warn-tint p-4">
      <p className="text-sm">
        <strong>Copy it now: it is shown once.</strong> Only a fingerprint is kept here, so it cannot be shown again. If
        it gets lost, create another and revoke this one.
      </p>
      <CopyField stacked value={secret} label={label} />
      {onDone ? (
        <div>
          <Button onClick={onDone}>I have kept it</Button>
        </div>
      ) : null}
    </div>
  );
}
