// Prisma's transactions begin with their first statement: BEGIN and the role are sent with it, in one exchange instead of three.
import { AsyncLocalStorage } from "node:async_hooks";
import { PrismaPg } from "@prisma/adapter-pg";
import type pg from "pg";
import { noteFailure, parsedOnce } from "./statements";

const openings = new AsyncLocalStorage<string>();

/** Runs `work`, whose transactions begin with these statements. @param opening without values, from BEGIN on */
export const beginningWith = <T>(opening: string, work: () => Promise<T>): Promise<T> => openings.run(opening, work);

/** @param pool of connections that take a statement before the one before it is answered */
export function lateBeginning(pool: pg.Pool): PrismaPg {
  const lent = Object.create(pool, { connect: { value: async () => beginningLate(await pool.connect()) } });
  return new PrismaPg(lent as pg.Pool);
}

const BEGUN = { command: "BEGIN", rowCount: null, oid: 0, fields: [], rows: [] } satisfies pg.QueryResult;

/** The part of a connection that the adapter's transactions use. */
type Connection = Pick<pg.PoolClient, "query" | "release" | "on" | "removeListener">;

function beginningLate(client: pg.PoolClient): Connection {
  let begun: Promise<unknown> | null = null;
  async function query(config: pg.QueryConfig): Promise<pg.QueryResult> {
    if (config.text === "BEGIN") {
      begun = client.query(openings.getStore() ?? "BEGIN");
      // Told with the first statement, which fails as well.
      begun.catch(() => {});
      return BEGUN;
    }
    const answer = client.query(parsedOnce(client, config));
    answer.catch((failure) => noteFailure(client, failure));
    if (!begun) return answer;
    const before = begun;
    begun = null;
    await before;
    return answer;
  }
  return {
    query: query as pg.PoolClient["query"],
    release: (error) => client.release(error),
    on: client.on.bind(client),
    removeListener: client.removeListener.bind(client),
  };
}
