"use client";
// The last resort, when the document itself could not be made: it relies on nothing of it.
import { GeistSans } from "geist/font/sans";
import { ThemeScript } from "~/components/ui/theme-script";
import { ErrorPage } from "./_shell/error-page";
import "./globals.css";

export default function GlobalError({ error, retry }: { error: unknown; retry: () => void }) {
  return (
    <html lang="en" className={GeistSans.variable} suppressHydrationWarning>
      <head>
        <title>Billfold</title>
        <ThemeScript />
      </head>
      <body>
        <ErrorPage error={error} retry={retry} />
      </body>
    </html>
  );
}
