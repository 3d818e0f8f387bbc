// A process that keeps consumes in a spool and sends them, until it is killed. "Billfold" is a file that it appends keys to.
import { appendFileSync } from "node:fs";
import { FileSpool } from "../../src/client/spool";

const [, , path = "", told = "", name = ""] = process.argv;
const spool = new FileSpool({ path }, async (consume) => {
  appendFileSync(told, `${consume.idempotencyKey}\n`);
});

for (let n = 0; ; n += 1) {
  const idempotencyKey = `${name} ${n}`;
  await spool.append({ organizationId: "o", eventName: "e", quantity: 1, idempotencyKey });
  process.send?.(idempotencyKey);
  if (n % 5 === 0) void spool.drain();
}
