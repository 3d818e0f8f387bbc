// Which page answers which address.
import type { Deliverer } from "../delivery";
import type { World } from "../world";
import { html } from "./html";
import { layout } from "./layout";

export interface PageContext {
  world: World;
  deliverer: Deliverer;
  query: URLSearchParams;
  form: URLSearchParams;
}

export interface PageAnswer {
  status: number;
  headers: Record<string, string>;
  body: string | Buffer;
}

/** Answers a request for a page. */
export function answerPage(_context: PageContext, _method: string, path: string): PageAnswer {
  return {
    status: 404,
    headers: { "content-type": "text/html; charset=utf-8" },
    body: layout({ title: "Not found", body: html`<h1>Nothing here</h1><p>${path}</p>` }),
  };
}
