import { Failure } from "../base/errors.ts";

/** Whether trying again makes sense: within seconds, only later, or not at all. */
export type Again = "soon" | "later" | "never";

interface Details {
  hints?: readonly string[];
  cause?: unknown;
  again: Again;
  /** HTTP status of the answer. */
  status?: number;
}

/** A notice that was not accepted. */
export class Undelivered extends Failure {
  override name = "Undelivered";
  readonly again: Again;
  /** The server does not know an address of this kind. */
  readonly unknownAddress: boolean;

  constructor(message: string, { hints = [], cause, again, status = 0 }: Details) {
    super(message, { hints, cause });
    this.again = again;
    this.unknownAddress = [400, 404, 405].includes(status);
  }
}
