// Which page answers which address.
import { checkoutPage } from "./checkout";
import { moveOwnClock } from "./clock";
import type { PageContext } from "./context";
import { creditNotePage } from "./credit-note";
import { customerPage } from "./customer";
import { endpointsPage } from "./endpoints";
import { eventPage } from "./event";
import { faultsPage } from "./faults";
import { homePage } from "./home";
import { authenticatePage, invoicePage, receiptPage } from "./invoice";
import { message, type PageAnswer, seeOther } from "./layout";
import { mailboxPage, mailPage } from "./mailbox";
import { paymentPage } from "./payment";
import { portalPage } from "./portal";

export type { PageContext } from "./context";

/** Answers a request for a page. */
export function answerPage(context: PageContext, method: string, path: string): PageAnswer {
  if (method !== "GET" && method !== "POST") return message("Not here", "Pages take GET and POST only.", 405);
  const [first, ...rest] = path.split("/").filter((part) => part !== "");
  const [second = ""] = rest;
  if (first === undefined && method === "GET") return homePage(context);
  if (first === "c" && second === "pay") return checkoutPage(context, method, rest.slice(1));
  if (first === "p" && second === "session") return portalPage(context, method, rest);
  if (first === "i") return invoicePage(context, method, rest);
  if (first === "credit-notes") return creditNotePage(context, rest);
  if (first === "receipts") return receiptPage(context, rest);
  if (first === "payments") return paymentPage(context, method, rest);
  if (first === "authenticate") return authenticatePage(context, method, rest);
  if (first === "mailbox" && method === "GET") return second ? mailPage(context, second) : mailboxPage(context);
  if (first === "customers") return customerPage(context, method, rest);
  if (first === "events") return eventPage(context, method, rest);
  if (first === "endpoints") return endpointsPage(context, method, rest);
  if (first === "faults") return faultsPage(context, method, rest);
  if (method === "POST" && first === "clock") return moveClockHere(context);
  if (method === "POST" && first === "webhooks") return holdWebhooks(context);
  return message("Nothing here", "The sandbox has no such page.", 404);
}

function moveClockHere({ world, form, from }: PageContext): PageAnswer {
  moveOwnClock(world, form.get("step") ?? "");
  return seeOther(from);
}

function holdWebhooks({ deliverer, form, from }: PageContext): PageAnswer {
  deliverer.pause(form.get("paused") === "true");
  return seeOther(from);
}
