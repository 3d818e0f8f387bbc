"use client";
// Whether the page runs in a browser yet: for what the server cannot paint, a drawer that an address opens, say.
import { useSyncExternalStore } from "react";

const never = () => () => {};

export function useAlive(): boolean {
  return useSyncExternalStore(
    never,
    () => true,
    () => false,
  );
}
