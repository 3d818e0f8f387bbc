"use client";
// Whether a media query holds; on the server, what the caller assumes.
import { useSyncExternalStore } from "react";

export function useMediaQuery(query: string, assumed: boolean): boolean {
  return useSyncExternalStore(
    (changed) => {
      const list = window.matchMedia(query);
      list.addEventListener("change", changed);
      return () => list.removeEventListener("change", changed);
    },
    () => window.matchMedia(query).matches,
    () => assumed,
  );
}
