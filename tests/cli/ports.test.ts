// Which port is free, and what a PORT may be.
import { createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { findFreePort, isPortFree, parsePort, preferPort } from "~/cli/ports";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function occupy(host: string): Promise<number> {
  const port = await findFreePort();
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  return port;
}

describe("a port", () => {
  it("is free when nobody listens", async () => expect(await isPortFree(await findFreePort())).toBe(true));
  it.each(["127.0.0.1", "0.0.0.0"])("is taken when somebody listens on %s", async (host) => {
    expect(await isPortFree(await occupy(host))).toBe(false);
  });
  it("is kept when it is free, and replaced when it is taken", async () => {
    const free = await findFreePort();
    expect(await preferPort(free)).toBe(free);
    const taken = await occupy("127.0.0.1");
    expect(await preferPort(taken)).not.toBe(taken);
  });
});

describe("parsePort", () => {
  it("takes the fallback when nothing is set", () => {
    expect(parsePort(undefined, 3000)).toBe(3000);
    expect(parsePort(" ", 3000)).toBe(3000);
  });
  it("takes a number", () => expect(parsePort("3001", 3000)).toBe(3001));
  it.each(["0", "65536", "abc", "80.5", "-1"])("refuses %s and says what is wanted", (value) => {
    expect(() => parsePort(value, 3000)).toThrow(`PORT must be a number from 1 to 65535, but is "${value}".`);
  });
});
