// One way to write an email address, so that one mailbox is one person.
import { z } from "zod";

/** The longest address that SMTP can carry. */
const MAX_LENGTH = 254;

/** An email address from a form or a request, trimmed and in lower case. */
export const emailAddress = z.string().trim().toLowerCase().max(MAX_LENGTH).pipe(z.email());

/** The address as we keep it, or null for what is none. */
export function normalizeEmail(text: unknown): string | null {
  const parsed = emailAddress.safeParse(text);
  return parsed.success ? parsed.data : null;
}
