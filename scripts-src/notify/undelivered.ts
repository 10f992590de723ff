import { Failure } from "../base/errors.ts";

/** Whether trying again makes sense: within seconds, only later, or not at all. */
export type Again = "soon" | "later" | "never";

interface Details {
  hints?: readonly string[];
  cause?: unknown;
  again: Again;
  /** HTTP status of the answer, and how long (ms) it asks us to wait. */
  status?: number;
  waitMs?: number;
}

/** A notice that was not accepted. */
export class Undelivered extends Failure {
  override name = "Undelivered";
  readonly again: Again;
  readonly waitMs: number;
  /** The server does not know an address of this kind. */
  readonly unknownAddress: boolean;

  constructor(message: string, { hints = [], cause, again, status = 0, waitMs = 0 }: Details) {
    super(message, { hints, cause });
    this.again = again;
    this.waitMs = waitMs;
    this.unknownAddress = [400, 404, 405].includes(status);
  }
}

/** Whether it makes sense to try again within seconds. */
export const isSoon = (error: unknown): boolean => error instanceof Undelivered && error.again === "soon";
