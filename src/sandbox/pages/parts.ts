// What the owner's pages are made of: tables, buttons in forms, states.
import { type Html, html } from "./html";

/** A form of one button. `fields` travel with it. */
export function button(path: string, words: string, about: string, fields: Record<string, string> = {}): Html {
  const hidden = Object.entries(fields).map(
    ([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`,
  );
  return html`<form method="post" action="${path}">${hidden}<button class="small" type="submit" aria-label="${words}: ${about}">${words}</button></form>`;
}

/** Buttons side by side; nothing when there are none. */
export function row(buttons: Html[]): Html | null {
  return buttons.length > 0 ? html`<div class="row">${buttons}</div>` : null;
}

/** A table under its title, that scrolls by itself on a narrow screen. `heads` that start with `#` are of numbers. */
export function table(title: string, heads: string[], rows: Html[], empty = "None."): Html {
  const columns = heads.map((head) =>
    head.startsWith("#") ? html`<th scope="col" class="num">${head.slice(1)}</th>` : html`<th scope="col">${head}</th>`,
  );
  if (rows.length === 0) return html`<h2>${title}</h2><p class="quiet">${empty}</p>`;
  return html`<h2>${title}</h2><div class="scroll" tabindex="0" role="region" aria-label="${title}"><table class="stack"><thead><tr>${columns}</tr></thead><tbody>${rows}</tbody></table></div>`;
}

const GOOD = new Set(["active", "trialing", "paid", "succeeded", "enabled", "delivered", "won", "complete"]);
const BAD = new Set(["past_due", "unpaid", "failed", "uncollectible", "incomplete_expired", "lost", "disabled"]);

/** A state in a word. Its colour repeats what the word says. */
export function state(word: string | null | undefined): Html {
  const kind = word && GOOD.has(word) ? "good" : word && BAD.has(word) ? "bad" : "other";
  return html`<span class="state ${kind}">${(word ?? "none").replaceAll("_", " ")}</span>`;
}
