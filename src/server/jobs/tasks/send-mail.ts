// Sends a mail that a transaction asked for. Thrown errors are tried again by the queue, later and later.
import { log } from "../../log";
import { deliverMail, type Mail } from "../../mail";

/** SMTP's answers that no second try changes: no such mailbox, not allowed, too full for this one. */
const REFUSED_FOR_GOOD = new Set([550, 551, 553, 554]);

/**
 * Hands a mail to the mail server.
 * @throws what the server said, unless it refused the recipient for good: then the log says so, and the job is done
 */
export async function sendMail(mail: Mail): Promise<void> {
  try {
    await deliverMail(mail);
  } catch (error) {
    if (!isRecipientRefused(error)) throw error;
    log.warn("a mail was refused for good", { to: mail.to, subject: mail.subject, error });
  }
}

function isRecipientRefused(error: unknown): boolean {
  const { code, responseCode } = error as { code?: string; responseCode?: number };
  return code === "EENVELOPE" && responseCode !== undefined && REFUSED_FOR_GOOD.has(responseCode);
}
