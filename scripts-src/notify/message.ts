/** The mail of an outcome: subject, plain text and HTML. Pure. */
import { columns, visible } from "../base/text.ts";
import { layOut } from "./layout.ts";
import { type DatabaseRow, databaseRows, factsOf, tableHeads } from "./message-facts.ts";
import type { Outcome } from "./outcome.ts";
import { subjectOf } from "./subject.ts";

export interface Message {
  /** One line without control characters, whatever the settings hold. */
  subject: string;
  text: string;
  html: string;
}

/** What a notice says, before it gets a form. */
export interface Content {
  title: string;
  tone: "success" | "warning" | "failure" | "test";
  /** What happened, or the error. */
  what: string;
  warnings: readonly string[];
  hints: readonly string[];
  facts: readonly (readonly [label: string, value: string])[];
  /** A row for each database; empty when the run was about one. */
  databases: readonly DatabaseRow[];
  /** The last lines of the log; only of a failure. */
  log: readonly string[];
  foot: string;
}

/** The mail of an outcome; times are given in UTC and in the time zone `zone`. */
export function composeMessage(outcome: Outcome, zone: string): Message {
  const content = contentOf(outcome, zone);
  return { subject: content.title, text: asText(content), html: layOut(content) };
}

function contentOf(outcome: Outcome, zone: string): Content {
  const { error } = outcome;
  return {
    title: subjectOf(outcome),
    tone: outcome.test ? "test" : outcome.status,
    what: visible(error ? error.message : outcome.summary),
    warnings: outcome.warnings.map(visible),
    hints: (error?.hints ?? []).map(visible),
    facts: factsOf(outcome, zone),
    databases: databaseRows(outcome.facts.databases ?? [], outcome.endedAt, zone),
    log: error ? outcome.logTail.map(visible) : [],
    foot: `sent by backup_scripts ${outcome.version}`,
  };
}

function asText({ title, what, warnings, hints, facts, databases, log, foot }: Content): string {
  const blocks = [
    title,
    what,
    warnings.map((warning) => `Warning: ${warning}`).join("\n"),
    hints.map((hint) => `What to do: ${hint}`).join("\n"),
    databaseTable(databases),
    columns(facts).join("\n"),
    log.length > 0 ? `Last lines of the log:\n${log.join("\n")}` : "",
    foot,
  ];
  return `${blocks.filter(Boolean).join("\n\n")}\n`;
}

/** Columns as wide as their widest cell; what is to be said of a database stands below its row. */
export function databaseTable(rows: readonly DatabaseRow[]): string {
  if (rows.length === 0) return "";
  const [head, ...lines] = columns([tableHeads, ...rows.map(({ cells }) => cells)]);
  const blocks = rows.flatMap(({ remarks }, at) => [lines[at], ...remarks.map((remark) => `    ${remark}`)]);
  return [head, ...blocks].join("\n");
}
