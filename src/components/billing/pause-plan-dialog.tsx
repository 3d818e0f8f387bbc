"use client";
// Asks for how long a plan is to rest, and says what rests with it.
import { type ReactNode, useId, useState } from "react";
import { ConfirmDialog } from "../ui/confirm-dialog";
import { Field } from "../ui/field";
import { Input } from "../ui/input";
import { OptionList } from "../ui/option-list";

export interface PausePlanDialogProps {
  planName: string;
  /** Days as `2026-12-01`, where the viewer is. */
  firstDay: string;
  lastDay: string;
  /** @param until the day on which it goes on by itself; null for not by itself */
  onPause: (until: string | null) => Promise<void>;
  describeError: (error: unknown) => string;
  trigger: ReactNode;
}

type HowLong = "open" | "until";

export function PausePlanDialog({
  planName,
  firstDay,
  lastDay,
  onPause,
  describeError,
  trigger,
}: PausePlanDialogProps) {
  const name = useId();
  const [howLong, setHowLong] = useState<HowLong>("open");
  const [day, setDay] = useState(firstDay);
  const isDay = /^\d{4}-\d{2}-\d{2}$/.test(day) && day >= firstDay && day <= lastDay;

  async function pause() {
    if (howLong === "open") return onPause(null);
    if (!isDay) throw new DayMissing();
    return onPause(day);
  }

  return (
    <ConfirmDialog
      trigger={trigger}
      title={`Pause ${planName}`}
      confirm={`Pause ${planName}`}
      cancel="Do not pause"
      onConfirm={pause}
      describeError={(error) =>
        error instanceof DayMissing ? "Choose a day from tomorrow on, within a year." : describeError(error)
      }
    >
      <p>
        Meanwhile nothing is charged and no credits come. What is there can be spent as before; credits of the plan
        expire on their day.
      </p>
      <OptionList
        label="For how long"
        name={name}
        value={howLong}
        onChange={setHowLong}
        options={[
          { value: "open", label: "Until I resume it" },
          {
            value: "until",
            label: "Until a day",
            text: "Then it goes on by itself, and is charged at its next renewal.",
          },
        ]}
      />
      {howLong === "until" ? (
        <Field label="Resumes on" className="text-ink">
          <Input
            type="date"
            required
            min={firstDay}
            max={lastDay}
            value={day}
            onChange={(event) => setDay(event.target.value)}
          />
        </Field>
      ) : null}
    </ConfirmDialog>
  );
}

class DayMissing extends Error {}
