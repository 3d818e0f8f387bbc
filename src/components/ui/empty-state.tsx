// Three ways a panel has nothing to show: there is nothing yet, it could not be read, or this person may not see it.
import type { ReactNode } from "react";
import { Button } from "./button";

interface MessageProps {
  title: string;
  text?: ReactNode;
  action?: ReactNode;
  role?: "status" | "alert";
}

function Message({ title, text, action, role }: MessageProps) {
  return (
    <div role={role} className="grid justify-items-start gap-1 px-(--pad,1.25rem) py-8">
      <p className="font-medium">{title}</p>
      {text ? <p className="max-w-[60ch] text-sm text-ink-2">{text}</p> : null}
      {action ? <div className="mt-3 flex flex-wrap gap-2">{action}</div> : null}
    </div>
  );
}

/** Nothing here yet: what will stand here, and what brings it about. */
export function EmptyState({ title, text, action }: { title: string; text?: ReactNode; action?: ReactNode }) {
  return <Message title={title} text={text} action={action} />;
}

export interface ErrorStateProps {
  title?: string;
  text?: ReactNode;
  /** Shown so that support can find it. */
  reference?: string;
  onRetry?: () => void;
  retrying?: boolean;
}

/** It could not be read; nothing is lost. */
export function ErrorState({
  title = "This could not be loaded",
  text = "Nothing is lost. Try again in a moment.",
  reference,
  onRetry,
  retrying,
}: ErrorStateProps) {
  return (
    <Message
      role="alert"
      title={title}
      text={
        <>
          {text}
          {reference ? <span className="text-ink-3"> Reference {reference}.</span> : null}
        </>
      }
      action={
        onRetry ? (
          <Button onClick={onRetry} loading={retrying}>
            Try again
          </Button>
        ) : undefined
      }
    />
  );
}

/** Who may see it, and whom to ask. */
export function NoPermissionState({ what, who = "an owner or admin" }: { what: string; who?: string }) {
  return (
    <Message
      title={`You cannot see ${what}`}
      text={`Only ${who} of this organization can. Ask one of them for access.`}
    />
  );
}
