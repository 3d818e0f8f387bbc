/** @type {import("next").NextConfig} */
export default {
  reactStrictMode: true,
  poweredByHeader: false,
  // `npm test` checks the types of everything; once is enough, and a build is waited for.
  typescript: { ignoreBuildErrors: true },
  // These open sockets and read their own files at run time; bundling them gains nothing.
  serverExternalPackages: ["pg", "graphile-worker", "nodemailer", "@prisma/client", "@prisma/adapter-pg", "stripe"],
};
