// Whether the address of a request can be read; what it leads to is decided by whoever answers it.

/** Whether a request's target names a path: nothing in it is encoded wrongly, and nothing is a character that no name has. */
export function isReadable(target: string): boolean {
  const [path = ""] = target.split("?", 1);
  try {
    return !decodeURIComponent(path).includes("\0");
  } catch {
    return false;
  }
}
