/** The first line of every notice, and what fits a chat message or a push notice on a phone. Pure. */
import { clip, counted, oneLine } from "../base/text.ts";
import { lastGoodText } from "./message-facts.ts";
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

export interface ShortText {
  title: string;
  /** Plain text of a few lines; never empty. */
  body: string;
}

/** ntfy takes 4,096 bytes, Discord 2,000 characters; title and body stay below both in any alphabet. */
const longestTitle = 200;
const longestBody = 1_000;
const mostLines = 10;

/** Failures first, then what to do, then where the last good backup is. */
export function shortText(outcome: Outcome): ShortText {
  const { error, summary, warnings, facts, endedAt } = outcome;
  const bad = (facts.databases ?? []).filter(({ status }) => status !== "success");
  const failed = bad.filter(({ status }) => status === "failure");
  const lines = [
    error?.message ?? summary,
    ...firstOf([...failed, ...bad.filter((one) => !failed.includes(one))].map(describe)),
    ...firstOf(warnings.map((warning) => `Warning: ${warning}`)),
    ...(error?.hints ?? []).slice(0, 2).map((hint) => `What to do: ${hint}`),
    ...(facts.lastGood ? [`Last good backup: ${lastGoodText(facts.lastGood, endedAt, "UTC")}`] : []),
  ];
  const body = clip(lines.map(oneLine).filter(Boolean).join("\n"), longestBody);
  return { title: clip(subjectOf(outcome), longestTitle), body: body || outcome.status };
}

const describe = ({ database, status, message }: { database: string; status: string; message?: string }) =>
  `${database}: ${message ?? status}`;

function firstOf(lines: readonly string[]): string[] {
  const more = lines.length - mostLines;
  return more > 0 ? [...lines.slice(0, mostLines), `and ${more} more`] : [...lines];
}
