// The document around every page: language, font, theme before the first paint, and where toasts appear.
import { GeistSans } from "geist/font/sans";
import type { Metadata, Viewport } from "next";
import type { ReactNode } from "react";
import { SkipLink } from "~/components/ui/page";
import { ThemeScript } from "~/components/ui/theme-script";
import { Toaster } from "~/components/ui/toaster";
import "./globals.css";

export const metadata: Metadata = {
  title: { default: "Billfold", template: "%s · Billfold" },
  description: "Plans, prepaid credits, usage and invoices of your organization, in one place.",
  applicationName: "Billfold",
};

export const viewport: Viewport = {
  width: "device-width",
  initialScale: 1,
  viewportFit: "cover",
  colorScheme: "light dark",
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#ffffff" },
    { media: "(prefers-color-scheme: dark)", color: "#141918" },
  ],
};

export default function RootLayout({ children }: { children: ReactNode }) {
  return (
    <html lang="en" className={GeistSans.variable} suppressHydrationWarning>
      <head>
        <ThemeScript />
      </head>
      <body>
        <SkipLink />
        {children}
        <Toaster />
      </body>
    </html>
  );
}
