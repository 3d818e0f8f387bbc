"use client";
// The foot of a list that goes on: how much is shown, and a button for more.
import type { ReactNode } from "react";
import { Button } from "./button";
import { PanelFoot } from "./panel";

export interface ShowOlderProps {
  /** "14 of 1,204 in January" */
  shown: ReactNode;
  /** Absent: this is all there is. */
  onShowOlder?: () => void;
  loading?: boolean;
  label?: string;
}

export function ShowOlder({ shown, onShowOlder, loading, label = "Show older" }: ShowOlderProps) {
  return (
    <PanelFoot className="min-h-[calc(var(--control)+1rem)]">
      <p>{shown}</p>
      {onShowOlder ? (
        <Button variant="link" className="-my-1 -mr-3" onClick={onShowOlder} loading={loading}>
          {label}
        </Button>
      ) : null}
    </PanelFoot>
  );
}
