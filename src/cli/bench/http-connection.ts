// A kept HTTP connection with at most one request on it, read only as far as the bench needs: Node's own client costs as
// much as the server that it would measure.
import { connect, type Socket } from "node:net";

export type HttpAnswer = { status: number; body: string };

type Waiting = { resolve: (answer: HttpAnswer) => void; reject: (error: Error) => void };

export class HttpConnection {
  private received = "";
  private waiting: Waiting | null = null;

  private constructor(private readonly socket: Socket) {
    // Bytes, not characters: lengths count bytes, and what we look at is ASCII.
    socket.setEncoding("latin1");
    socket.setNoDelay(true);
    socket.on("data", (part: string) => this.receive(part));
    socket.on("error", (error) => this.fail(error));
    socket.on("close", () => this.fail(new Error("the server has closed the connection")));
  }

  static open(port: number): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1", () => resolve(new HttpConnection(socket)));
      socket.once("error", reject);
    });
  }

  ask(text: string): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
      this.socket.write(text, "latin1");
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private receive(part: string): void {
    this.received += part;
    const answer = parseAnswer(this.received);
    if (!answer) return;
    this.received = "";
    const waiting = this.waiting;
    this.waiting = null;
    waiting?.resolve(answer);
  }

  private fail(error: Error): void {
    this.waiting?.reject(error);
    this.waiting = null;
  }
}

/** The answer if it is complete; null while some of it is under way. */
export function parseAnswer(text: string): HttpAnswer | null {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const status = Number(text.slice(9, 12));
  const head = text.slice(0, end + 2).toLowerCase();
  const begin = end + 4;
  const length = /\r\ncontent-length: *(\d+)\r\n/.exec(head)?.[1];
  if (length !== undefined) {
    const body = text.slice(begin);
    return body.length < Number(length) ? null : { status, body };
  }
  if (!head.includes("\r\ntransfer-encoding: chunked\r\n")) throw new Error(`an answer without a length:\n${head}`);
  let body = "";
  for (let at = begin; ; ) {
    const line = text.indexOf("\r\n", at);
    if (line < 0) return null;
    const size = Number.parseInt(text.slice(at, line), 16);
    const next = line + 2 + size + 2;
    if (text.length < next) return null;
    if (size === 0) return { status, body };
    body += text.slice(line + 2, next - 2);
    at = next;
  }
}
