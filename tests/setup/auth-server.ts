// NextAuth's real handler behind a real HTTP server, a mailbox behind a real SMTP server, and a browser's cookies.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type ParsedMail, simpleParser } from "mailparser";
import NextAuth, { type NextAuthOptions } from "next-auth";
import { SMTPServer } from "smtp-server";

/** Listens on a free port of this machine. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

/** Serves `/api/auth/…`, with the settings as they are at each request. */
export function authServer(options: () => NextAuthOptions): Server {
  return createServer((request, response) => void serve(request, response, options()));
}

// The handful of things that NextAuth expects of a framework's request and response.
async function serve(request: IncomingMessage, response: ServerResponse, options: NextAuthOptions): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const nextauth = url.pathname.split("/").slice(3);
  Object.assign(request, {
    query: { ...Object.fromEntries(url.searchParams), nextauth },
    cookies: parseCookies(request.headers.cookie ?? ""),
    body: Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString())),
  });
  Object.assign(response, {
    status(code: number) {
      response.statusCode = code;
      return response;
    },
    json(body: unknown) {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(body));
    },
    send(body: unknown) {
      response.end(typeof body === "string" ? body : JSON.stringify(body ?? {}));
    },
  });
  await NextAuth(request as never, response as never, options);
}

function parseCookies(header: string): Record<string, string> {
  const pairs = header.split("; ").flatMap((pair) => {
    const [name, ...value] = pair.split("=");
    return name ? [[name, decodeURIComponent(value.join("="))] as const] : [];
  });
  return Object.fromEntries(pairs);
}

/** Keeps cookies from answer to request, and stops at redirects to look at them. */
export class TestBrowser {
  readonly cookies = new Map<string, string>();
  /** Every Set-Cookie header that arrived. */
  readonly setCookies: string[] = [];

  constructor(readonly origin: string) {}

  get headers(): Headers {
    return new Headers({ cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ") });
  }

  async get(path: string): Promise<Response> {
    return this.keep(await fetch(new URL(path, this.origin), { headers: this.headers, redirect: "manual" }));
  }

  async post(path: string, form: Record<string, string>): Promise<Response> {
    const headers = this.headers;
    const body = new URLSearchParams(form);
    return this.keep(await fetch(new URL(path, this.origin), { method: "POST", headers, body, redirect: "manual" }));
  }

  /** Posts a form of NextAuth's, with the token against forged requests. */
  async submit(path: string, form: Record<string, string> = {}): Promise<Response> {
    const { csrfToken } = (await (await this.get("/api/auth/csrf")).json()) as { csrfToken: string };
    return this.post(path, { ...form, csrfToken });
  }

  private keep(response: Response): Response {
    for (const line of response.headers.getSetCookie()) {
      this.setCookies.push(line);
      const [pair = ""] = line.split(";");
      const at = pair.indexOf("=");
      const value = pair.slice(at + 1);
      if (value === "" || /max-age=0/i.test(line)) this.cookies.delete(pair.slice(0, at));
      else this.cookies.set(pair.slice(0, at), value);
    }
    return response;
  }
}

/** A mail server that keeps what it is sent. */
export class TestMailbox {
  readonly mails: ParsedMail[] = [];
  private readonly server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    logger: false,
    onRcptTo: ({ address }, _session, done) => {
      if (address.startsWith("nobody@")) done(Object.assign(new Error("no such mailbox"), { responseCode: 550 }));
      else if (address.startsWith("busy@")) done(Object.assign(new Error("try later"), { responseCode: 451 }));
      else done();
    },
    onData: (stream, _session, done) => {
      simpleParser(stream).then(
        (mail) => {
          this.mails.push(mail);
          done();
        },
        (error: Error) => done(error),
      );
    },
  });

  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return `smtp://127.0.0.1:${(this.server.server.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.server.close(() => resolve()));
  }

  /** The newest mail to an address. */
  latest(to: string): ParsedMail {
    const mail = this.mails.findLast(({ to: recipients }) => [recipients].flat().some((field) => field?.text === to));
    if (!mail) throw new Error(`There is no mail to ${to}.`);
    return mail;
  }
}

/** The first link of a mail's text. */
export function linkOf(mail: ParsedMail): URL {
  const [link] = mail.text?.match(/https?:\/\/\S+/) ?? [];
  if (!link) throw new Error("There is no link in the mail.");
  return new URL(link);
}
