/** What client programs say when something is wrong, and what to do about it. Exit statuses: a signal n is 128 + n. */
import { Failure } from "../base/errors.ts";
import { redact } from "../base/secrets.ts";

/** Words of a program, or the number of its error, and a hint. */
type Explanation = readonly [pattern: RegExp, hint: string];

export interface Explanations {
  /** Trying again will not help. */
  permanent: readonly Explanation[];
  passing: readonly Explanation[];
}

/** The failure of a client program: what was attempted, what it said, and a hint where we know one. */
export function explained(
  what: string,
  { permanent, passing }: Explanations,
  { said, status, program = "" }: { said: string; status: number; program?: string },
): Failure {
  const [, hint = unexplainedHint(status)] = [...permanent, ...passing].find(([pattern]) => pattern.test(said)) ?? [];
  const cause = firstLines(said) || `${program}${endWithoutWords(status)}`;
  return new Failure(`${what}: ${cause}`, { hints: [hint] });
}

/** The failure of a client program that ended with status 0 before it had answered. */
export const unanswered = (what: string, program: string, path: string): Failure =>
  new Failure(`${what}: ${program} exited with status 0, but its answer is incomplete`, {
    hints: [`look at ${path}: it is not what it should be`],
  });

/** Whether another try may help. What has a cause does not come from the server. */
export const isTemporary = (error: unknown, { permanent }: Explanations): boolean =>
  error instanceof Failure && error.cause === undefined && !permanent.some(([pattern]) => pattern.test(error.message));

const firstLines = (said: string): string =>
  said
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(0, 12)
    // half a secret would not be recognized
    .map((line) => redact(line).slice(0, 500))
    .join("\n");

const endWithoutWords = (status: number): string =>
  status > 128 ? `killed by signal ${status - 128}` : `exit status ${status}, no message`;

function unexplainedHint(status: number): string {
  if (status > 128) return "it was killed, perhaps by the kernel for lack of memory (see dmesg); run it again";
  return "the server's log may say more";
}
