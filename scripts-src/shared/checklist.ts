/** What a dry run checks, as a list for people. */
import { Failure, messageOf } from "./errors.ts";

export interface Check {
  /** What is looked at: "database". */
  what: string;
  /** Returns what was found; throws when it is not good enough. */
  look: () => Promise<string>;
}

/**
 * Looks at everything, whatever fails, and returns the list, a tick or a cross with a hint a line. Throws a `Failure`
 * that carries the list when anything is not good enough.
 */
export async function checkAll(checks: readonly Check[]): Promise<string> {
  const lines: string[] = [];
  let crosses = 0;
  let first: Failure | undefined;
  for (const { what, look } of checks) {
    try {
      lines.push(`✓ ${what}: ${await look()}`);
    } catch (error) {
      crosses++;
      lines.push(`✗ ${what}: ${messageOf(error)}`);
      if (!(error instanceof Failure)) continue;
      first ??= error;
      lines.push(...error.hints.map((hint) => `    hint: ${hint}`));
    }
  }
  const output = lines.join("\n");
  if (crosses > 0) {
    throw new Failure(`${crosses} of ${checks.length} checks failed`, { status: first?.status ?? 1, output });
  }
  return output;
}
