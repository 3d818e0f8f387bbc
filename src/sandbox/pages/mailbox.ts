// The mailbox: every mail that was sent to the sandbox's mail server, and one mail with its links.
import type { PageContext } from "./context";
import { html } from "./html";
import { formatTime, message, type PageAnswer, page } from "./layout";

const SHOWN = 200;

/** `/mailbox` */
export function mailboxPage({ world }: PageContext): PageAnswer {
  const mails = [...world.mails.values()].reverse().slice(0, SHOWN);
  const rows = mails.map(
    (mail) =>
      html`<tr><td><a href="/mailbox/${mail.id}">${mail.subject}</a></td><td>${mail.to.join(", ")}</td><td class="num">${formatTime(mail.created)}</td></tr>`,
  );
  const table = html`<div class="scroll" tabindex="0" role="region" aria-label="Mails"><table><thead><tr><th scope="col">Subject</th><th scope="col">To</th><th scope="col" class="num">Received</th></tr></thead><tbody>${rows}</tbody></table></div>`;
  return page({
    title: "Mailbox",
    nav: true,
    body: html`<h1>Mailbox</h1>
<p class="quiet">Mail that the app sends ends here. Nothing leaves this machine.</p>
${rows.length > 0 ? table : html`<p>No mail yet.</p>`}`,
  });
}

/** `/mailbox/:id` */
export function mailPage({ world }: PageContext, id: string): PageAnswer {
  const mail = world.mails.get(id);
  if (!mail) return message("Nothing here", "There is no such mail.", 404);
  const links = mail.links.map((link) => html`<li><a href="${link}" rel="noreferrer">${link}</a></li>`);
  return page({
    title: mail.subject,
    nav: true,
    body: html`<p><a href="/mailbox">← Mailbox</a></p><h1>${mail.subject}</h1>
<p class="small quiet">From ${mail.from}<br>To ${mail.to.join(", ")}<br>${formatTime(mail.created)}</p>
${links.length > 0 && html`<h2>Links</h2><ul class="plain">${links}</ul>`}
${mail.html && html`<h2>Message</h2><iframe title="Message" sandbox srcdoc="${mail.html}"></iframe>`}
<h2>Text</h2><pre>${mail.text}</pre>`,
  });
}
