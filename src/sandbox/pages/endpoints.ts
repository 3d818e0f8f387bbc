// Webhook endpoints by hand: hold one back, switch it off, give it a new secret.
import { actOnEndpoint, isEndpointAction } from "../webhook-control";
import type { World } from "../world";
import { act } from "./act";
import type { PageContext } from "./context";
import { type Html, html } from "./html";
import { message, type PageAnswer, page, seeOther } from "./layout";
import { button, row, state, table } from "./parts";

function endpointRow(world: World, id: string): Html | null {
  const endpoint = world.endpoints.get(id);
  const kept = world.endpointSecrets.get(id);
  if (!endpoint || !kept) return null;
  const { url, status, api_version: version, enabled_events: events } = endpoint;
  const waiting = world.events.deliveries.by("endpoint", id).filter((delivery) => delivery.state === "pending").length;
  const old = (kept.old ?? []).filter(({ until }) => until > Date.now()).length;
  const actions = row([
    button(`/endpoints/${id}/${kept.paused ? "resume" : "pause"}`, kept.paused ? "Let go" : "Hold back", url),
    button(
      `/endpoints/${id}/${status === "enabled" ? "disable" : "enable"}`,
      status === "enabled" ? "Disable" : "Enable",
      url,
    ),
    button(`/endpoints/${id}/roll`, "New secret", url),
  ]);
  return html`<tr><td><code>${url}</code><br><code class="quiet">${id}</code></td><td>${state(status)}${kept.paused && html` ${state("paused")}`}</td><td>${events.includes("*") ? "all events" : html`<span title="${events.join("\n")}">${events.length} types</span>`}<br><span class="quiet">${version ?? "the account's version"}</span></td><td class="num">${waiting} waiting</td><td><code>${kept.secret}</code>${old > 0 && html`<br><span class="quiet">and ${old} older</span>`}${actions}</td></tr>`;
}

/** `/endpoints`, with `/:id/:action`, and `/webhooks` to hold back all. */
export function endpointsPage(context: PageContext, method: string, [id = "", action = ""]: string[]): PageAnswer {
  const { world, deliverer } = context;
  if (method === "POST" && id !== "") {
    if (isEndpointAction(action)) actOnEndpoint(context, id, action);
    else if (action === "disable" || action === "enable") {
      act(world, "POST", `/v1/webhook_endpoints/${id}`, { disabled: String(action === "disable") });
    } else return message("Nothing here", "The sandbox has no such page.", 404);
    return seeOther("/endpoints");
  }
  if (method !== "GET" || id !== "") return message("Nothing here", "The sandbox has no such page.", 404);
  const rows = [...world.endpoints.values()].flatMap((endpoint) => endpointRow(world, endpoint.id) ?? []);
  return page({
    title: "Webhook endpoints",
    nav: true,
    body: html`<h1>Webhook endpoints</h1>
<p>Where the app wants to be told of events. Held back, deliveries wait here; a new secret signs along with the old one for a day.</p>
<div class="row">${button("/webhooks", deliverer.paused ? "Let all go" : "Hold all back", "webhooks", { paused: String(!deliverer.paused) })}${deliverer.paused && html`<span class="soon">All deliveries are held back.</span>`}</div>
${table("Endpoints", ["Endpoint", "State", "Listens to", "#Deliveries", "Secret"], rows, "None yet: the app makes one when it starts.")}`,
  });
}
