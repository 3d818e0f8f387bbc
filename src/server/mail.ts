// Mail: the one place that talks SMTP, and the frame that every mail of ours is written in. What mails say is with those who send them.
import { createTransport, type Transporter } from "nodemailer";
import { env } from "./env";
import { log } from "./log";

export interface Mail {
  to: string;
  subject: string;
  text: string;
  html: string;
}

/** What a mail says, in plain text; HTML is made of it. */
export interface MailContent {
  to: string;
  subject: string;
  /** Paragraphs before the button. */
  paragraphs: string[];
  action?: { label: string; url: string };
  /** Small print after the button. */
  footnotes?: string[];
}

/** A mail server that does not answer must not hold up a sign-in or a job for nodemailer's two minutes. */
const CONNECT_TIMEOUT_MS = 10_000;
const ANSWER_TIMEOUT_MS = 20_000;

/** Whether mail can be sent at all. */
export function canSendMail(): boolean {
  return env().SMTP_URL !== undefined;
}

/** Hands a mail to the mail server. @throws what the server or the connection said */
export async function deliverMail(mail: Mail): Promise<void> {
  const { SMTP_URL, EMAIL_FROM } = env();
  if (!SMTP_URL) {
    // Not its text: a link in it may let somebody in.
    log.warn("a mail was not sent, because SMTP_URL is not set", { to: mail.to, subject: mail.subject });
    return;
  }
  const transport = connect(SMTP_URL);
  try {
    await transport.sendMail({ from: EMAIL_FROM, ...mail });
  } finally {
    transport.close();
  }
}

function connect(address: string): Transporter {
  const url = new URL(address);
  const limits = {
    connectionTimeout: CONNECT_TIMEOUT_MS,
    greetingTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: ANSWER_TIMEOUT_MS,
  };
  for (const [name, limitMs] of Object.entries(limits)) {
    if (!url.searchParams.has(name)) url.searchParams.set(name, String(limitMs));
  }
  return createTransport(url.href);
}

/** Writes a mail as text and as HTML that says the same. */
export function composeMail({ to, subject, paragraphs, action, footnotes = [] }: MailContent): Mail {
  const text = [
    ...paragraphs,
    ...(action ? [`${action.label}:\n${action.url}`] : []),
    ...(footnotes.length > 0 ? ["--", ...footnotes] : []),
  ].join("\n\n");
  return { to, subject, text: `${text}\n`, html: frame({ subject, paragraphs, action, footnotes }) };
}

// Tables and inline styles: what mail programs understand. The colours are those of the app in its light theme.
function frame({ subject, paragraphs, action, footnotes = [] }: Omit<MailContent, "to">): string {
  const body = paragraphs.map((paragraph) => `<p style="margin:0 0 16px">${escapeHtml(paragraph)}</p>`).join("\n");
  const button = action
    ? `<p style="margin:24px 0"><a href="${escapeHtml(action.url)}" style="display:inline-block;padding:10px 18px;border-radius:6px;background:#00604a;color:#ffffff;font-weight:600;text-decoration:none">${escapeHtml(action.label)}</a></p>
<p style="margin:0 0 16px;font-size:13px;color:#47514d">If the button does not work, open this address:<br><a href="${escapeHtml(action.url)}" style="color:#00604a;word-break:break-all">${escapeHtml(action.url)}</a></p>`
    : "";
  const small = footnotes
    .map((footnote) => `<p style="margin:0 0 8px;font-size:13px;color:#47514d">${escapeHtml(footnote)}</p>`)
    .join("\n");
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escapeHtml(subject)}</title></head>
<body style="margin:0;padding:0;background:#f8faf9">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0"><tr><td align="center" style="padding:32px 16px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" style="max-width:520px;background:#ffffff;border:1px solid #e0e4e2;border-radius:8px"><tr><td style="padding:32px;font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:15px;line-height:1.55;color:#121b18">
<p style="margin:0 0 24px;font-weight:600">Billfold</p>
${body}
${button}
${small}
</td></tr></table>
</td></tr></table>
</body>
</html>
`;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
}
