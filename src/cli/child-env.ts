// The environment that child processes start from: what an operating system needs, and nothing that configures an app.
// A developer's own DATABASE_URL or Stripe key must never reach a demo or a test.

const KEPT = new Set([
  "PATH",
  "HOME",
  "USER",
  "LOGNAME",
  "SHELL",
  "LANG",
  "TERM",
  "TMPDIR",
  "TEMP",
  "TMP",
  "XDG_CACHE_HOME",
  "SYSTEMROOT",
  "WINDIR",
  "COMSPEC",
  "PATHEXT",
  "APPDATA",
  "LOCALAPPDATA",
  "USERPROFILE",
  "PROGRAMFILES",
  "PROGRAMFILES(X86)",
  "LD_LIBRARY_PATH",
  "NODE_EXTRA_CA_CERTS",
  "CI",
  "NO_COLOR",
  "FORCE_COLOR",
  "COLORTERM",
  "CHROME_PATH",
]);

/** The kept part of an environment with the given values on top. */
export function childEnv(
  extra: NodeJS.Dict<string> = {},
  ambient: NodeJS.Dict<string> = process.env,
): NodeJS.Dict<string> {
  const kept = Object.entries(ambient).filter(([name]) => KEPT.has(name.toUpperCase()));
  return { ...Object.fromEntries(kept), NEXT_TELEMETRY_DISABLED: "1", ...extra };
}
