// No page of ours belongs into somebody else's frame, and no address of ours into their logs.
export const SECURITY_HEADERS = [
  { key: "X-Content-Type-Options", value: "nosniff" },
  { key: "X-Frame-Options", value: "DENY" },
  { key: "Referrer-Policy", value: "strict-origin-when-cross-origin" },
];

/** @type {import("next").NextConfig} */
export default {
  reactStrictMode: true,
  poweredByHeader: false,
  headers: async () => [{ source: "/:path*", headers: SECURITY_HEADERS }],
  // `npm test` checks the types of everything; once is enough, and a build is waited for.
  typescript: { ignoreBuildErrors: true },
  // These open sockets and read their own files at run time; bundling them gains nothing.
  serverExternalPackages: ["pg", "graphile-worker", "nodemailer", "@prisma/client", "@prisma/adapter-pg", "stripe"],
};
