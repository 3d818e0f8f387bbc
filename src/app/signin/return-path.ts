// Where to go on to after signing in: an address that anybody can write into a link, so it is trusted with nothing.
import { sameOriginUrl } from "~/server/auth/options";

/** The path of an address on this site, or null for one that leads to another site or into the API. */
export function returnPath(address: string | null, baseUrl: string): string | null {
  const url = address === null ? null : sameOriginUrl(address, baseUrl);
  if (url === null) return null;
  const { pathname, search, hash } = new URL(url);
  // "/.//elsewhere" is of this site, and yet its path, taken alone, names the host "elsewhere".
  if (pathname.startsWith("//") || pathname.startsWith("/api/")) return null;
  return pathname + search + hash;
}
