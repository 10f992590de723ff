/** Clocks that are wrong. */

/** How far (ms) clocks of two machines can differ before one of them counts as wrong. */
export const clockTolerance = 600_000;

/** Whether a time lies in the future: the clock was wrong when it was taken, so it says nothing of the age. */
export const liesAhead = (time: Date, now: Date): boolean => time.getTime() - now.getTime() > clockTolerance;

/**
 * How far (ms) this machine's clock is ahead of a server's; 0 when the server's time lies within the time that its answer took.
 * `before` and `after`: this machine's clock around the answer.
 */
export const clockAhead = (server: number, { before, after }: { before: number; after: number }): number =>
  server < before ? before - server : Math.min(0, after - server);
