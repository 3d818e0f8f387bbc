"use client";
// Which time is shown: the billing period, the last days, or days of one's own.
import { type FormEvent, useState } from "react";
import { formatDayRange } from "~/components/billing/format";
import { useViewer } from "~/components/billing/viewer";
import { Button } from "~/components/ui/button";
import { Field } from "~/components/ui/field";
import { Input } from "~/components/ui/input";
import { Popover } from "~/components/ui/popover";
import { Segmented } from "~/components/ui/segmented";
import { addDays, dateIn } from "~/domain/usage";
import { type Choice, complaintOf, type Range } from "./choice";

const LASTS: readonly { value: Range; label: string }[] = [
  { value: "7d", label: "7 days" },
  { value: "30d", label: "30 days" },
  { value: "90d", label: "90 days" },
];

export interface RangePickerProps {
  choice: Choice;
  /** Whether there is a billing period to look at. */
  hasPeriod: boolean;
  now: Date;
  timeZone: string;
  onChange: (choice: Choice) => void;
}

export function RangePicker({ choice, hasPeriod, now, timeZone, onChange }: RangePickerProps) {
  const options = hasPeriod ? [{ value: "period" as Range, label: "This period" }, ...LASTS] : LASTS;
  const shown: Range = choice.range === "period" && !hasPeriod ? "30d" : choice.range;
  return (
    <>
      <Segmented label="Time" options={options} value={shown} onChange={(range) => onChange({ ...choice, range })} />
      <OwnDays choice={choice} now={now} timeZone={timeZone} onChange={onChange} />
    </>
  );
}

function OwnDays({ choice, now, timeZone, onChange }: Omit<RangePickerProps, "hasPeriod">) {
  const { locale } = useViewer();
  const [open, setOpen] = useState(false);
  const today = dateIn(timeZone, now);
  const isOwn = choice.range === "custom";
  const asDate = (date: string) => new Date(`${date}T00:00:00Z`);
  const words = isOwn
    ? formatDayRange(asDate(choice.from), asDate(choice.to), { locale, timeZone: "UTC" })
    : "Choose days";
  return (
    <Popover
      open={open}
      onOpenChange={setOpen}
      align="end"
      label="Days to show"
      trigger={
        <Button aria-pressed={isOwn} className={isOwn ? "bg-accent-tint!" : undefined}>
          {words}
        </Button>
      }
    >
      <DaysForm
        from={choice.from || addDays(today, -29)}
        to={choice.to || today}
        today={today}
        onChoose={(from, to) => {
          setOpen(false);
          onChange({ ...choice, range: "custom", from, to });
        }}
      />
    </Popover>
  );
}

interface DaysFormProps {
  from: string;
  to: string;
  today: string;
  onChoose: (from: string, to: string) => void;
}

function DaysForm({ from: firstFrom, to: firstTo, today, onChoose }: DaysFormProps) {
  const [from, setFrom] = useState(firstFrom);
  const [to, setTo] = useState(firstTo);
  const [complaint, setComplaint] = useState<string | null>(null);
  function submit(event: FormEvent) {
    event.preventDefault();
    const wrong = complaintOf({ from, to }, today);
    setComplaint(wrong);
    if (wrong === null) onChoose(from, to);
  }
  return (
    <form onSubmit={submit} noValidate className="grid gap-4">
      <div className="grid grid-cols-2 gap-3">
        <Field label="From">
          <Input type="date" value={from} max={today} onChange={(event) => setFrom(event.target.value)} />
        </Field>
        <Field label="To, included">
          <Input type="date" value={to} max={today} onChange={(event) => setTo(event.target.value)} />
        </Field>
      </div>
      {complaint ? (
        <p role="alert" className="text-xs font-medium text-danger">
          {complaint}
        </p>
      ) : null}
      <Button type="submit" variant="primary">
        Show these days
      </Button>
    </form>
  );
}
