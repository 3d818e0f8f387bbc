// The document around every page: language, font, theme before the first paint, who looks, the way to the procedures,
// and where toasts appear.
import { GeistSans } from "geist/font/sans";
import type { Metadata, Viewport } from "next";
import { cookies, headers } from "next/headers";
import type { ReactNode } from "react";
import { ViewerProvider } from "~/components/billing/viewer";
import { SkipLink } from "~/components/ui/page";
import { ThemeScript } from "~/components/ui/theme-script";
import { Toaster } from "~/components/ui/toaster";
import { TRPCProvider } from "./_trpc/react";
import { viewerOf } from "./_viewer/request-viewer";
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

export default async function RootLayout({ children }: { children: ReactNode }) {
  const viewer = viewerOf({
    acceptLanguage: (await headers()).get("accept-language"),
    timeZoneCookie: (await cookies()).get("time-zone")?.value,
  });
  return (
    <html lang="en" className={GeistSans.variable} suppressHydrationWarning>
      <head>
        <ThemeScript />
      </head>
      <body>
        <SkipLink />
        <ViewerProvider {...viewer}>
          <TRPCProvider>{children}</TRPCProvider>
        </ViewerProvider>
        <Toaster />
      </body>
    </html>
  );
}
