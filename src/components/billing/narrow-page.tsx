// A page of one question: sign in, create an organization, the end of a checkout.
import type { ReactNode } from "react";
import { Panel, PanelBody } from "../ui/panel";

export function NarrowPage({ title, text, children }: { title: string; text?: ReactNode; children?: ReactNode }) {
  return (
    <main
      id="main"
      tabIndex={-1}
      className="wrap grid w-full justify-items-center pt-16 pb-16 outline-none max-sm:pt-8"
    >
      <Panel label={title} className="w-full max-w-[26rem]">
        <PanelBody className="!p-6 max-sm:!p-4">
          <h1>{title}</h1>
          {text ? <div className="mt-1 text-ink-2">{text}</div> : null}
          {children ? <div className="mt-5">{children}</div> : null}
        </PanelBody>
      </Panel>
    </main>
  );
}
