// Which page answers which address.
import { checkoutPage } from "./checkout";
import type { PageContext } from "./context";
import { creditNotePage } from "./credit-note";
import { homePage, redeliverEvent } from "./home";
import { authenticatePage, invoicePage, receiptPage } from "./invoice";
import { message, type PageAnswer } from "./layout";
import { mailboxPage, mailPage } from "./mailbox";
import { paymentPage } from "./payment";
import { portalPage } from "./portal";

export type { PageContext } from "./context";

/** Answers a request for a page. */
export function answerPage(context: PageContext, method: string, path: string): PageAnswer {
  if (method !== "GET" && method !== "POST") return message("Not here", "Pages take GET and POST only.", 405);
  const [first, ...rest] = path.split("/").filter((part) => part !== "");
  const [second = "", third] = rest;
  if (first === undefined && method === "GET") return homePage(context);
  if (first === "c" && second === "pay") return checkoutPage(context, method, rest.slice(1));
  if (first === "p" && second === "session") return portalPage(context, method, rest);
  if (first === "i") return invoicePage(context, method, rest);
  if (first === "credit-notes") return creditNotePage(context, rest);
  if (first === "receipts") return receiptPage(context, rest);
  if (first === "payments") return paymentPage(context, method, rest);
  if (first === "authenticate") return authenticatePage(context, method, rest);
  if (first === "mailbox" && method === "GET") return second ? mailPage(context, second) : mailboxPage(context);
  if (first === "events" && third === "redeliver" && method === "POST") return redeliverEvent(context, second);
  return message("Nothing here", "The sandbox has no such page.", 404);
}
