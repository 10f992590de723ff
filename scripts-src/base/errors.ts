/** Exit status of every script. A signal n ends a script with 128 + n. */

export const exitStatus = {
  done: 0,
  failed: 1,
  usage: 2,
  missingProgram: 3,
  noSuchBackup: 4,
  locked: 5,
} as const;

/**
 * An expected error: a message for a person (lower case, names the thing, ends in the cause),
 * what to do about it (`hints`) and the exit status it leads to.
 */
export class Failure extends Error {
  override name = "Failure";
  readonly status: number;
  readonly hints: readonly string[];
  /** What belongs on stdout all the same: the checklist of a dry run. */
  readonly output: string | undefined;

  constructor(
    message: string,
    options: { status?: number; hints?: readonly string[]; cause?: unknown; output?: string } = {},
  ) {
    super(message, { cause: options.cause });
    this.status = options.status ?? exitStatus.failed;
    this.hints = options.hints ?? [];
    this.output = options.output;
  }

  /** The same failure in other words. */
  reworded(message: string, hints = this.hints): Failure {
    return new Failure(message, { status: this.status, hints, cause: this.cause });
  }
}

/** The run was stopped from outside. */
export class Stopped extends Failure {
  override name = "Stopped";
  readonly signalName: string;

  constructor(signalName: string, signalNumber: number) {
    super(`stopped by ${signalName}`, { status: 128 + signalNumber });
    this.signalName = signalName;
  }
}

/** A person at the terminal was asked and said no: nobody else need be told. */
export class Declined extends Failure {
  override name = "Declined";
}

const another = "restore another backup, or fetch this one again from where it was copied";

/** `what` names the file, `why` is a clause ("it is cut short"). */
export const damaged = (what: string, why: string, hint = another): Damaged =>
  new Damaged(`${what} is damaged: ${why}`, { hints: [hint] });

/** A backup, or what lies beside it, that cannot be used as it is. */
export class Damaged extends Failure {
  override reworded(message: string, hints = this.hints): Damaged {
    return new Damaged(message, { status: this.status, hints, cause: this.cause });
  }
}

/** Wrong settings or usage: nothing was attempted. */
export function usageFailure(message: string, ...hints: string[]): Failure {
  return new Failure(message, { status: exitStatus.usage, hints });
}

/** There is no backup that fits what was asked for. */
export function noSuchBackup(message: string, ...hints: string[]): Failure {
  return new Failure(message, { status: exitStatus.noSuchBackup, hints });
}

/** The message of whatever was thrown, without a stack. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The operating system's code of an error ("ENOSPC", "ECONNREFUSED"), or undefined. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}
