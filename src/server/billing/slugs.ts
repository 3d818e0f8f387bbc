// An organization's place in the address bar: made from its name, never one of our own words.
import { randomInt } from "node:crypto";

const MAX_LENGTH = 40;
/** Room for a suffix: `-team`, `-2`, `-x7k2p9`. */
const MAX_SUFFIX_LENGTH = 8;

/** First segments of addresses that are ours, or that people take for ours. */
const RESERVED = new Set(
  `about account accounts admin api app assets auth billing blog cancel careers checkout contact dashboard demo docs
   error favicon health healthz help home icon images invitation invitations join legal login logo logout mail me new
   next organization organizations org pages plan plans platform pricing privacy profile public robots root search
   security settings sign-in sign-out sign-up signin signout signup sitemap static status stripe success support system
   team teams terms trpc undefined null user users webhook webhooks well-known www`.split(/\s+/),
);

/** Latin letters that Unicode does not take apart into a letter and its mark. */
const SPELLED: Record<string, string> = {
  ß: "ss",
  æ: "ae",
  œ: "oe",
  ø: "o",
  ł: "l",
  đ: "d",
  ð: "d",
  þ: "th",
  ı: "i",
  "&": " and ",
  "@": " at ",
};

/** `Åre & Söhne GmbH` → `are-and-sohne-gmbh`. Empty for a name without a Latin letter or a digit. */
export function slugFromName(name: string): string {
  return name
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/['’]/g, "")
    .replace(/[ßæœøłđðþı&@]/g, (letter) => SPELLED[letter] ?? "")
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, MAX_LENGTH - MAX_SUFFIX_LENGTH)
    .replace(/^-+|-+$/g, "");
}

/** Whether a slug could be taken for a page of our own. */
export function isReservedSlug(slug: string): boolean {
  return RESERVED.has(slug);
}

/**
 * Slugs to try for a name, best first: the name, the name with a small number, then with random letters, so that the
 * ten-thousandth "Acme" does not have to ask ten thousand times.
 */
export function* slugCandidates(name: string): Generator<string, never> {
  const base = slugFromName(name);
  if (base.length >= 2) {
    const first = isReservedSlug(base) ? `${base}-team` : base;
    yield first;
    for (let number = 2; number <= 5; number++) yield `${first}-${number}`;
  }
  while (true) yield `${base.length >= 2 ? base : "team"}-${randomLetters(6)}`;
}

/** Letters and digits that cannot be mistaken for one another, and hardly spell words. */
function randomLetters(length: number): string {
  const alphabet = "23456789bcdfghjkmnpqrstvwxz";
  return Array.from({ length }, () => alphabet.charAt(randomInt(alphabet.length))).join("");
}
