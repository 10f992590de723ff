/** A TCP proxy that breaks connections or is slow: for faults that a server cannot play itself. */
import { connect, createServer, type Socket } from "node:net";

export interface TcpProxy {
  url: string;
  port: number;
  /**
   * Resets the connection after so many bytes of one direction, the first `times` times; with `when` not before. Of those bytes, a reset
   * takes what has not been read yet along with it.
   */
  cut: { direction: "up" | "down"; after: number; times: number; when?: Promise<void> } | undefined;
  /** So much and no more goes over the line, in both directions and all connections together. */
  bytesPerSecond: number | undefined;
  /** How many connections were reset. */
  broken: number;
  stop(): Promise<void>;
}

/** Passes connections to a port of 127.0.0.1 on. */
export async function startTcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let free = 0;
  /** How long (ms) the line is busy with what was sent so far and with these bytes. */
  const busyFor = (bytes: number): number => {
    if (proxy.bytesPerSecond === undefined) return 0;
    free = Math.max(free, performance.now()) + (bytes / proxy.bytesPerSecond) * 1000;
    return free - performance.now();
  };
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    }
    const counts = { up: 0, down: 0 };
    const pass = (direction: "up" | "down", from: Socket, to: Socket) => {
      from.on("data", (data: Buffer) => {
        counts[direction] += data.length;
        const cut = proxy.cut;
        if (!cut || cut.direction !== direction || cut.times <= 0 || counts[direction] <= cut.after) {
          const [wait, full] = [busyFor(data.length), !to.write(data)];
          if (wait <= 0 && !full) return;
          from.pause();
          const resume = () => void (wait > 0 ? setTimeout(() => from.resume(), wait) : from.resume());
          if (full) to.once("drain", resume);
          else resume();
          return;
        }
        cut.times--;
        proxy.broken++;
        to.write(data.subarray(0, Math.max(0, data.length - (counts[direction] - cut.after))), () => {
          void Promise.resolve(cut.when).then(() => {
            near.resetAndDestroy();
            far.destroy();
          });
        });
        from.removeAllListeners("data");
      });
      from.on("end", () => to.end());
      from.on("close", () => to.destroy());
    };
    pass("up", near, far);
    pass("down", far, near);
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const { port } = server.address() as { port: number };
  const proxy: TcpProxy = {
    url: `http://127.0.0.1:${port}`,
    port,
    cut: undefined,
    bytesPerSecond: undefined,
    broken: 0,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
  return proxy;
}
