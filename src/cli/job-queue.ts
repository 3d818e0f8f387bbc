// The job queue's own tables, in a schema of their own beside ours: its package brings and updates them.
import { Logger, makeWorkerUtils } from "graphile-worker";

const silent = new Logger(() => () => {});

/** Installs or updates the queue's schema. Doing it again does nothing. */
export async function installJobQueue(connectionString: string): Promise<void> {
  const utils = await makeWorkerUtils({ connectionString, logger: silent });
  try {
    await utils.migrate();
  } finally {
    await utils.release();
  }
}
