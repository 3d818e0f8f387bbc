// One event: what it says, where it went, what came back, and to send it again.
import type { Delivery } from "../events";
import { sendAgain } from "../webhook-control";
import type { World } from "../world";
import type { PageContext } from "./context";
import { type Html, html } from "./html";
import { formatTime, message, type PageAnswer, page, seeOther } from "./layout";
import { button, state, table } from "./parts";

function attemptRows({ log = [] }: Delivery): Html[] {
  return log.map(
    ({ at, status, answer, tookMs }, index) =>
      html`<tr><td>${index + 1}</td><td>${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC</td><td>${status ?? "no answer"}</td><td class="num">${tookMs} ms</td><td><code>${answer}</code></td></tr>`,
  );
}

function deliverySection(world: World, delivery: Delivery): Html {
  const url = world.endpoints.get(delivery.endpoint)?.url ?? "(deleted)";
  const waits =
    delivery.state === "pending" &&
    html`<span class="quiet">the next attempt is due at ${formatTime(delivery.nextAt / 1000)}</span>`;
  return html`<section aria-label="Delivery to ${url}"><p class="row">${state(delivery.state)} <code>${url}</code> ${waits}</p>
${table(`Attempts to ${url}`, ["Attempt", "When (real time)", "Status", "#Took", "Answer"], attemptRows(delivery), "None yet.")}</section>`;
}

/** What an event is about, with a link where there is a page for it. */
function about(world: World, object: Record<string, unknown>): Html {
  const id = typeof object.id === "string" ? object.id : "";
  const customer = object.object === "customer" ? id : object.customer;
  const link = typeof customer === "string" && world.customers.get(customer);
  return html`<code>${id}</code>${link && html` of <a href="/customers/${link.id}">${link.name ?? link.email ?? link.id}</a>`}`;
}

/** `/events/:id`, with `/redeliver`. */
export function eventPage({ world, form }: PageContext, method: string, [id = "", step = ""]: string[]): PageAnswer {
  const event = world.events.all.get(id);
  if (!event) return message("Nothing here", "There is no such event.", 404);
  if (method === "POST" && step === "redeliver") {
    sendAgain(world, id, form.get("endpoint"));
    return seeOther(form.get("back") === "event" ? `/events/${id}` : "/");
  }
  if (method !== "GET" || step !== "") return message("Nothing here", "The sandbox has no such page.", 404);
  const deliveries = world.events.deliveries.by("event", id).reverse();
  const endpoints = [...world.endpoints.values()];
  return page({
    title: event.type,
    nav: true,
    body: html`<h1>${event.type}</h1>
<p>${about(world, event.data.object)}, ${formatTime(event.created)}<br><code class="quiet">${id}</code>${!world.events.isInReach(event) && html`<br><span class="quiet">Older than thirty days: the API no longer tells of it.</span>`}</p>
<h2>Deliveries</h2>
${deliveries.length > 0 ? deliveries.map((delivery) => deliverySection(world, delivery)) : html`<p class="quiet">No endpoint asked for it.</p>`}
<h2>Send again</h2>
${
  endpoints.length > 0
    ? html`<div class="row">${endpoints.map(({ id: endpoint, url }) => button(`/events/${id}/redeliver`, `To ${url}`, event.type, { back: "event", endpoint }))}</div>`
    : html`<p class="quiet">There is no endpoint.</p>`
}
<h2>What it says</h2><pre>${JSON.stringify(event, null, 2)}</pre>`,
  });
}
