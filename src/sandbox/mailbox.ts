// A mail server that delivers to nobody: every mail is kept for the mailbox pages and for tests.
import { simpleParser } from "mailparser";
import { SMTPServer } from "smtp-server";
import { drawingFrom, newId } from "./ids";
import type { MailMessage, World } from "./world";

const MAX_MAIL_BYTES = 10 * 1024 * 1024;

/** The http(s) links of a mail, each once, in the order in which they stand. */
export function linksOf(text: string, html: string | null): string[] {
  const inHtml = [...(html ?? "").matchAll(/href\s*=\s*["']([^"']+)["']/gi)].map(([, link = ""]) =>
    link.replaceAll("&amp;", "&"),
  );
  const inText = text.match(/https?:\/\/[^\s<>"')\]]+/g) ?? [];
  return [...new Set([...inHtml, ...inText])].filter((link) => /^https?:\/\//i.test(link));
}

/** Starts listening; port 0 takes any free one. */
export async function startMailServer(world: World, port: number): Promise<{ port: number; close(): Promise<void> }> {
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    size: MAX_MAIL_BYTES,
    onAuth: (auth, _session, done) => done(null, { user: auth.username ?? "anyone" }),
    onData(stream, session, done) {
      simpleParser(stream)
        .then((mail) => {
          const html = typeof mail.html === "string" ? mail.html : null;
          const text = mail.text ?? "";
          const message: MailMessage = {
            id: drawingFrom(world.random, () => newId("mail")),
            created: Math.floor(Date.now() / 1000),
            from: mail.from?.text ?? (session.envelope.mailFrom ? session.envelope.mailFrom.address : ""),
            to: session.envelope.rcptTo.map(({ address }) => address),
            subject: mail.subject ?? "(no subject)",
            text,
            html,
            links: linksOf(text, html),
          };
          world.mails.put(message);
          done();
        })
        .catch((error: Error) => done(error));
    },
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
  // A client that hangs up in the middle is its own affair.
  server.removeAllListeners("error");
  server.on("error", () => {});
  const address = server.server.address();
  return {
    port: typeof address === "object" && address ? address.port : port,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

export interface MailJson extends Omit<MailMessage, "created"> {
  receivedAt: string;
}

/** Mails, newest first; `to` narrows to one recipient. */
export function listMails(world: World, to: string | null): MailJson[] {
  return [...world.mails.values()]
    .reverse()
    .filter((mail) => !to || mail.to.some((address) => address.toLowerCase() === to.toLowerCase()))
    .map(({ created, ...mail }) => ({ ...mail, receivedAt: new Date(created * 1000).toISOString() }));
}
