/** A server that knows no protocol. */
import { createServer, type Socket } from "node:net";

/** Listens on 127.0.0.1 and meets whoever connects with `greet`, while `work` runs with its port. */
export async function withGreeter(
  greet: (socket: Socket) => void,
  work: (port: string) => Promise<void>,
): Promise<void> {
  const sockets: Socket[] = [];
  const listener = createServer((socket) => {
    sockets.push(socket.on("error", () => {}));
    greet(socket);
  });
  await new Promise<void>((done) => listener.listen(0, "127.0.0.1", done));
  try {
    await work(String((listener.address() as { port: number }).port));
  } finally {
    for (const socket of sockets) socket.destroy();
    listener.close();
  }
}
