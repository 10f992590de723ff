/**
 * How far (ms) this machine's clock is ahead of a server's; 0 when the server's time lies within the time that its answer took.
 * `before` and `after`: this machine's clock around the answer.
 */
export const clockAhead = (server: number, { before, after }: { before: number; after: number }): number =>
  server < before ? before - server : Math.min(0, after - server);
