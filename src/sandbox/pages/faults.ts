// Failures by hand: what is set, how often it has met something, and forms to set it.
import { API_FAULTS, type ApiFault } from "../faults";
import type { World } from "../world";
import type { PageContext } from "./context";
import { type Html, html } from "./html";
import { message, type PageAnswer, page, seeOther } from "./layout";
import { button, table } from "./parts";

const WORDS: Record<string, string> = {
  "429": "429: too many requests",
  lock_timeout: "429: the object is locked",
  "500": "500: an error of Stripe",
  "404_without_error": "404 whose JSON has no error",
  "500_without_error": "500 whose JSON has no error",
  html: "a page of HTML",
  truncated: "an answer that breaks off",
  reset: "a reset connection",
  timeout: "no answer at all",
  slow: "a slow answer",
};

/** In a sentence, for the first page. */
export function faultsInWords(world: World): string {
  const { api, webhooks } = world.faults.show();
  const [low, high] = webhooks.delayMs;
  const said = [
    ...api.map(({ kind, match, share }) => `${Math.round(share * 100)}% ${WORDS[kind]} for ${match}`),
    ...(["copies", "loss", "unanswered", "reorder"] as const)
      .filter((name) => webhooks[name] > 0)
      .map((name) => `webhooks: ${Math.round(webhooks[name] * 100)}% ${name}`),
    ...(high > 0 ? [`webhooks: ${low} to ${high} ms late`] : []),
  ];
  return said.length > 0 ? said.join("; ") : "None is set.";
}

function apiRow(fault: ApiFault): Html {
  return html`<tr><td><code>${fault.match}</code></td><td>${WORDS[fault.kind]}</td><td>${fault.when} the work</td><td class="num">${Math.round(fault.share * 100)}%</td><td class="num">${fault.met} of ${fault.matched} met</td></tr>`;
}

function number(name: string, label: string, value: number, unit: string): Html {
  return html`<div class="field"><label for="${name}">${label}</label><input id="${name}" name="${name}" inputmode="numeric" value="${value}" aria-describedby="${name}-unit"><p class="small quiet" id="${name}-unit">${unit}</p></div>`;
}

function show(world: World): PageAnswer {
  const { api, webhooks, seed } = world.faults.show();
  const { met, delayMs, ...shares } = webhooks;
  const kinds = API_FAULTS.map((kind) => html`<option value="${kind}">${WORDS[kind]}</option>`);
  const times = Object.entries(met).map(
    ([kind, count]) => html`<tr><td>${kind}</td><td class="num">${count}</td></tr>`,
  );
  return page({
    title: "Faults",
    nav: true,
    body: html`<h1>Faults</h1>
<p>What goes wrong on request: at the API, and on the way of webhooks. A seed (<code>${seed}</code>) decides each case, so the same requests meet the same failures again.</p>
${table("At the API", ["Request", "Answer", "When", "#Share", "#Requests"], api.map(apiRow), "None is set.")}
<h2>Add one</h2>
<form class="panel" method="post" action="/faults/api">
<div class="pair"><div class="field"><label for="match">Requests</label><input id="match" name="match" value="POST /v1/*" autocomplete="off"></div>
<div class="field"><label for="kind">Are answered with</label><select id="kind" name="kind">${kinds}</select></div></div>
<div class="pair">${number("share", "Share", 50, "percent of the matching requests")}
<div class="field"><label for="when">When</label><select id="when" name="when"><option value="before">before the work: nothing is done</option><option value="after">after the work: its answer is lost</option></select></div></div>
<button type="submit">Add</button></form>
<h2>On the way of webhooks</h2>
<form class="panel" method="post" action="/faults/webhooks">
<div class="pair">${number("copies", "Copies", shares.copies * 100, "percent of the deliveries are made twice")}${number("loss", "Loss", shares.loss * 100, "percent of the attempts never arrive")}</div>
<div class="pair">${number("unanswered", "Lost answers", shares.unanswered * 100, "percent arrive, but their answer is lost")}${number("reorder", "Overtaken", shares.reorder * 100, "percent wait until later ones have passed")}</div>
<div class="pair">${number("delayFrom", "Delay from", delayMs[0], "milliseconds")}${number("delayTo", "Delay to", delayMs[1], "milliseconds")}</div>
<button type="submit">Set</button></form>
${table("Met since they were set", ["Kind", "#Times"], times)}
<h2>Enough</h2>
${button("/faults/none", "Take all faults away", "API and webhooks")}`,
  });
}

/** A number of a form; `scale` makes shares of percents. */
function numeric(form: URLSearchParams, name: string, scale = 1): number {
  return Number((form.get(name) ?? "").trim() || 0) / scale;
}

/** What is set at the API, as it was given. */
function givenApi(world: World) {
  return world.faults.show().api.map(({ matched: _, met: __, ...given }) => given);
}

function givenWebhooks(world: World) {
  const { met: _, ...given } = world.faults.show().webhooks;
  return given;
}

/** `/faults`, with `/api`, `/webhooks` and `/none`. */
export function faultsPage({ world, form }: PageContext, method: string, [step = ""]: string[]): PageAnswer {
  if (method === "GET" && step === "") return show(world);
  const { seed } = world.faults.show();
  if (method === "POST" && step === "none") world.faults.set({ seed });
  else if (method === "POST" && step === "api") {
    const [match, kind, when] = ["match", "kind", "when"].map((name) => form.get(name) ?? "");
    const added = { match, kind, when, share: numeric(form, "share", 100) };
    world.faults.set({ seed, api: [...givenApi(world), added], webhooks: givenWebhooks(world) });
  } else if (method === "POST" && step === "webhooks") {
    const shares = ["copies", "loss", "unanswered", "reorder"].map((name) => [name, numeric(form, name, 100)]);
    const delayMs = [numeric(form, "delayFrom"), numeric(form, "delayTo")];
    world.faults.set({ seed, api: givenApi(world), webhooks: { ...Object.fromEntries(shares), delayMs } });
  } else return message("Nothing here", "The sandbox has no such page.", 404);
  return seeOther("/faults");
}
