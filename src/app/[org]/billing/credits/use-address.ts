"use client";
// What the address of the credits page keeps: the filter, and the transaction that stands open. It is changed without
// asking the server for the page again.
import { usePathname, useSearchParams } from "next/navigation";
import { useCallback, useRef } from "react";
import { type Filter, readable, withFilter } from "./filter";

export interface Address {
  transactionId: string | null;
  /** The address of a transaction's drawer, with the filter kept. */
  hrefOf: (transactionId: string) => string;
  openTransaction: (transactionId: string) => void;
  closeTransaction: () => void;
  keepFilter: (filter: Filter) => void;
}

export function useAddress(): Address {
  const path = usePathname();
  const params = useSearchParams();
  const openedHere = useRef(false);
  const transactionId = readable(params.get("transaction") ?? "") || null;

  const hrefOf = useCallback(
    (id: string) => {
      const next = new URLSearchParams(params);
      next.set("transaction", id);
      return `${path}?${next}`;
    },
    [path, params],
  );

  const openTransaction = useCallback(
    (id: string) => {
      // Going through the list with the drawer open is one step back, not one for each entry.
      if (transactionId) window.history.replaceState(null, "", hrefOf(id));
      else window.history.pushState(null, "", hrefOf(id));
      if (!transactionId) openedHere.current = true;
    },
    [hrefOf, transactionId],
  );

  const closeTransaction = useCallback(() => {
    if (openedHere.current) {
      openedHere.current = false;
      window.history.back();
      return;
    }
    const next = new URLSearchParams(params);
    next.delete("transaction");
    window.history.replaceState(null, "", next.size > 0 ? `${path}?${next}` : path);
  }, [path, params]);

  const keepFilter = useCallback(
    (filter: Filter) => {
      const now = new URLSearchParams(window.location.search);
      const next = withFilter(now, filter);
      if (next.toString() === now.toString()) return;
      window.history.replaceState(null, "", next.size > 0 ? `${path}?${next}` : path);
    },
    [path],
  );

  return { transactionId, hrefOf, openTransaction, closeTransaction, keepFilter };
}
