/** Clocks that are wrong. */

/** How far (ms) clocks of two machines can differ before one of them counts as wrong. */
export const clockTolerance = 600_000;

/** Whether a time lies in the future: the clock was wrong when it was taken, so it says nothing of the age. */
export const liesAhead = (time: Date, now: Date): boolean => time.getTime() - now.getTime() > clockTolerance;
