// The frame of every page: style, the notice that no money moves, nothing loaded from elsewhere.
import { randomBytes } from "node:crypto";
import { Html, html } from "./html";
import { STYLE } from "./style";

export interface PageAnswer {
  status: number;
  headers: Record<string, string>;
  body: string | Buffer;
}

interface Page {
  title: string;
  body: Html;
  status?: number;
  narrow?: boolean;
  /** A page of the account's owner: with the way to the others. */
  nav?: boolean;
  /** A nicety in the browser; every page works without. */
  script?: string;
}

/** A whole page as an answer. */
export function page({ title, body, status = 200, narrow = false, nav = false, script }: Page): PageAnswer {
  const nonce = randomBytes(16).toString("base64");
  const document = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${title} · Stripe sandbox</title>
<link rel="icon" href="data:,">
<style>${new Html(STYLE)}</style>
</head>
<body>
<header class="notice"><strong>Stripe sandbox</strong>: a stand-in, no money moves. <a href="/">What is this?</a></header>
${nav && html`<nav aria-label="Sandbox"><a href="/">Sandbox</a><a href="/endpoints">Endpoints</a><a href="/faults">Faults</a><a href="/mailbox">Mailbox</a></nav>`}
<main class="${narrow ? "narrow" : ""}">${body}</main>
${script && html`<script nonce="${nonce}">${new Html(script)}</script>`}
</body>
</html>`;
  const policy = `default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'nonce-${nonce}'; frame-ancestors 'none'; base-uri 'none'`;
  return {
    status,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy,
      // Forms say which page they are on; other sites learn nothing.
      "referrer-policy": "same-origin",
      "x-content-type-options": "nosniff",
    },
    body: document.text,
  };
}

/** On to another address, by GET. */
export function seeOther(location: string): PageAnswer {
  return { status: 303, headers: { location }, body: "" };
}

/** A page that only says something. */
export function message(title: string, text: string, status = 200, more: Html | null = null): PageAnswer {
  return page({ title, status, narrow: true, body: html`<h1>${title}</h1><p>${text}</p>${more}` });
}

/** `31 Jan 2026`, in UTC as all of Stripe's periods are. */
export function formatDate(at: number): string {
  const options = { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" } as const;
  return new Date(at * 1000).toLocaleDateString("en-GB", options);
}

/** `31 Jan 2026, 14:05 UTC`. */
export function formatTime(at: number): string {
  return `${formatDate(at)}, ${new Date(at * 1000).toISOString().slice(11, 16)} UTC`;
}
