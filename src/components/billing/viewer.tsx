"use client";
// Who looks: their locale (told by the server, so that both sides write the same) and their time zone (UTC or a
// remembered zone in the server's answer, then the browser's own).
import { createContext, type ReactNode, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import { defaultViewer, type Viewer } from "./format";

const Context = createContext<Viewer>(defaultViewer);

const browserZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
const never = () => () => {};

export interface ViewerProviderProps {
  /** From Accept-Language, say. */
  locale?: string;
  /** What the cookie `time-zone` of an earlier visit said. */
  timeZone?: string;
  children: ReactNode;
}

/** Keeps the browser's zone in the cookie `time-zone`, so that the next server answer is already right. */
export function ViewerProvider({ locale = defaultViewer.locale, timeZone = "UTC", children }: ViewerProviderProps) {
  const viewer = useMemo(() => ({ locale, timeZone }), [locale, timeZone]);
  useEffect(() => {
    const oneYearSeconds = 31_536_000;
    // biome-ignore lint/suspicious/noDocumentCookie: the cookie store is not in every browser we serve
    document.cookie = `time-zone=${encodeURIComponent(browserZone())}; path=/; max-age=${oneYearSeconds}; samesite=lax`;
  }, []);
  return <Context.Provider value={viewer}>{children}</Context.Provider>;
}

export function useViewer(): Viewer {
  const told = useContext(Context);
  const timeZone = useSyncExternalStore(never, browserZone, () => told.timeZone);
  return useMemo(() => ({ locale: told.locale, timeZone }), [told.locale, timeZone]);
}
