// What text may be kept.

// Control characters, which the database refuses or nobody sees; and lone halves of a character, which reach it as one and the same.
const UNREADABLE = /[\p{Cc}\p{Cs}]/gu;

/** Whether a text has readable characters only, and so can be kept and asked for. */
export function isReadable(text: string): boolean {
  return text.search(UNREADABLE) === -1;
}

/** A text with something else in the place of each unreadable character. */
export function replaceUnreadable(text: string, by: string): string {
  return text.replace(UNREADABLE, by);
}
