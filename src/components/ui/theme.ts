"use client";
// Light, dark or as the system has it: kept in localStorage under "theme", shown as data-theme on <html>.
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const listeners = new Set<() => void>();

function readTheme(): Theme {
  const named = document.documentElement.dataset.theme;
  return named === "light" || named === "dark" ? named : "system";
}

export function setTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", theme);
  } catch {
    // Storage is refused in some private windows; the choice then lasts as long as the page.
  }
  for (const listener of listeners) listener();
}

/** The chosen theme; "system" on the server. */
export function useTheme(): Theme {
  return useSyncExternalStore(
    (changed) => {
      listeners.add(changed);
      return () => listeners.delete(changed);
    },
    readTheme,
    () => "system",
  );
}
