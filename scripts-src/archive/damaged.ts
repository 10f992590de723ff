/** What a backup that cannot be used is called. */
import { Failure } from "../base/errors.ts";

const another = "restore another backup, or fetch this one again from where it was copied";

/** `what` names the file, `why` is a clause ("it is cut short"). */
export const damaged = (what: string, why: string, hint = another): Damaged =>
  new Damaged(`${what} is damaged: ${why}`, { hints: [hint] });

export class Damaged extends Failure {
  override reworded(message: string, hints = this.hints): Damaged {
    return new Damaged(message, { status: this.status, hints, cause: this.cause });
  }
}
