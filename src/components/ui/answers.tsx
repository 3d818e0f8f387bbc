// A page's two or three questions with their answers, each with what it is made of. Not cards.
import type { ReactNode } from "react";

export interface Answer {
  label: ReactNode;
  value: ReactNode;
  /** What the value is made of, or what it rests on. */
  why?: ReactNode;
}

export type AnswerList = readonly [Answer] | readonly [Answer, Answer] | readonly [Answer, Answer, Answer];

export function Answers({ items }: { items: AnswerList }) {
  return (
    <dl className="answers" data-count={items.length}>
      {items.map((item, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: answers have fixed places
        <div key={index}>
          <dt className="text-sm text-ink-2">{item.label}</dt>
          <dd className="text-xl font-strong tracking-tight [overflow-wrap:anywhere]">{item.value}</dd>
          {item.why ? <dd className="max-w-[46ch] text-sm text-ink-2">{item.why}</dd> : null}
        </div>
      ))}
    </dl>
  );
}
