// Starts PostgreSQL for a suite that is run directly with vitest. Under `npm test` there is one already.
import { startTestPostgres } from "~/cli/test-postgres";

export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (process.env.BILLFOLD_TEST_PG_URL) return undefined;
  const server = await startTestPostgres();
  Object.assign(process.env, server.env);
  return () => server.stop();
}
