/** What a dry run checks, as a list for people. */
import { Failure, messageOf, Stopped } from "../base/errors.ts";
import { redact } from "../base/secrets.ts";
import { indented, painterFor, visible } from "../base/text.ts";

export interface Check {
  /** What is looked at: "database". */
  what: string;
  /** Returns what was found; throws when it is not good enough. */
  look: () => Promise<string | Skipped | Warned>;
}

/** Why there was nothing to look at. */
interface Skipped {
  skipped: string;
}

/** What works, but should be changed. */
export interface Warned {
  warning: string;
  hints: readonly string[];
}

/**
 * Looks at everything, whatever fails, and returns the list: a tick, a warning (!) or a cross a line, with hints. Throws a `Failure`
 * that carries the list, with the status of the first cross, when anything is not good enough.
 */
export async function checkAll(checks: readonly Check[]): Promise<string> {
  const lines: string[] = [];
  const crosses: unknown[] = [];
  for (const { what, look } of checks) {
    try {
      const found = await look();
      if (typeof found === "string") lines.push(`✓ ${what}: ${indented(found)}`);
      else if ("skipped" in found) lines.push(`– ${what}: ${found.skipped}`);
      else lines.push(`! ${what}: ${indented(found.warning)}`, ...found.hints.map(hintLine));
    } catch (error) {
      if (error instanceof Stopped) throw error;
      crosses.push(error);
      lines.push(`✗ ${what}: ${messageOf(error).replaceAll("\n", "\n    ")}`);
      if (error instanceof Failure) lines.push(...error.hints.map(hintLine));
    }
  }
  const paint = painterFor(process.stdout);
  const output = visible(redact(lines.join("\n"))).replaceAll(/^[✓!✗]/gm, (sign) =>
    paint(colours[sign] ?? "red", sign),
  );
  if (crosses.length === 0) return output;
  const [first] = crosses;
  const count = `${crosses.length} of ${checks.length} checks failed`;
  throw new Failure(count, { ...(first instanceof Failure && { status: first.status }), output });
}

const colours: Record<string, "green" | "yellow"> = { "✓": "green", "!": "yellow" };
const hintLine = (hint: string) => `    hint: ${hint}`;
