"use client";
// Where toasts appear: bottom right, above the tabs on phones. What they say comes through toast.ts.
import { Toaster as Sonner } from "sonner";

export function Toaster() {
  return (
    <Sonner
      position="bottom-right"
      gap={8}
      visibleToasts={3}
      containerAriaLabel="Messages"
      mobileOffset={{ bottom: "calc(var(--tabs-bottom) + 0.75rem)", left: "1rem", right: "1rem" }}
      icons={{ success: null, error: null, info: null, warning: null, loading: null }}
    />
  );
}
