"use client";
// Where the keyboard goes on when what it stood on has gone with what it did.

/** Puts the focus at the page's content, unless it is still somewhere. */
export function keepFocus(): void {
  // After what has gone is really gone.
  requestAnimationFrame(() => {
    if (document.activeElement === document.body) document.getElementById("main")?.focus({ preventScroll: true });
  });
}
