// The server's door by itself, as a process that a test can kill: tRPC without pages. Says its port when it listens.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createDoor } from "~/server/api/door";

const server = createServer(createDoor());
server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port));
// Without whoever started it there is nobody to kill it.
process.once("disconnect", () => process.exit(0));
