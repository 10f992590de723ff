/** The first line of every notice. Pure. */
import { counted, visibleName } from "../base/text.ts";
import type { Facts, Outcome } from "./outcome.ts";

const words = { success: "OK", warning: "WARNING", failure: "FAILED" };
/** A phone shows about this many characters of a subject. */
const longestWarning = 80;

/** `FAILED: shop-production backup of app`: the most important first. A single warning is part of it. */
export function subjectOf({ script, status, site, facts, test, warnings }: Outcome): string {
  if (test) return oneLine(`TEST: notice from ${site}`);
  const title = `${words[status]}: ${site} ${script}${subjectsOf(facts)}`;
  if (status !== "warning") return oneLine(title);
  const [first = ""] = warnings;
  const short = warnings.length === 1 ? clip(oneLine(first), longestWarning) : counted(warnings.length, "warning");
  return oneLine(`${title}: ${short}`);
}

function subjectsOf({ database, databases }: Facts): string {
  if (!databases) return database ? ` of ${database}` : "";
  const failed = databases.filter(({ status }) => status === "failure").length;
  return failed === 0 ? ` of ${counted(databases.length, "database")}` : `, ${failed} of ${databases.length} databases`;
}

/** Foreign text in one line, its control characters visible. */
export const oneLine = (text: string): string => visibleName(text.replaceAll(/\s+/g, " ").trim());

/** At most `length` characters; what is cut off is marked. No character is cut in two. */
export function clip(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}
