import { defineConfig } from "prisma/config";

// Each Prisma command wants a downloaded engine before it looks at what it has to do. `generate` and
// `validate` never start it, so any executable satisfies the check where the download host is unreachable.
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= process.execPath;

export default defineConfig({
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  ...(process.env.DATABASE_URL ? { datasource: { url: process.env.DATABASE_URL } } : {}),
});
