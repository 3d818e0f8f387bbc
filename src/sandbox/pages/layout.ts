// The frame of every page: style, the notice that no money moves, nothing loaded from elsewhere.
import { type Html, html } from "./html";

interface Page {
  title: string;
  body: Html;
}

/** A whole document. */
export function layout({ title, body }: Page): string {
  return html`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title></head><body>${body}</body></html>`
    .text;
}
