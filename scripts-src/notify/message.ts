/** The mail of an outcome: subject, plain text and HTML. Pure. */
import { html, lines } from "../base/html.ts";
import { columns, visible } from "../base/text.ts";
import { type DatabaseRow, databaseRows, factsOf, subjectOf, tableHeads } from "./message-facts.ts";
import type { Outcome } from "./outcome.ts";

export interface Message {
  /** One line without control characters, whatever the settings hold. */
  subject: string;
  text: string;
  html: string;
}

/** The mail of an outcome; times are given in UTC and in the time zone `zone`. */
export function composeMessage(outcome: Outcome, zone: string): Message {
  const subject = subjectOf(outcome);
  const text = bodyOf(outcome, zone);
  const tone = colour[outcome.test ? "test" : outcome.status];
  return { subject, text: `${subject}\n\n${text}\n`, html: layOut(subject, tone, text) };
}

function bodyOf({ error, ...outcome }: Outcome, zone: string): string {
  const blocks = [
    visible(error ? error.message : outcome.summary),
    outcome.warnings.map((warning) => `Warning: ${visible(warning)}`).join("\n"),
    (error?.hints ?? []).map((hint) => `What to do: ${visible(hint)}`).join("\n"),
    databaseTable(databaseRows(outcome.facts.databases ?? [], outcome.endedAt, zone)),
    columns(factsOf(outcome, zone)).join("\n"),
    error && outcome.logTail.length > 0 ? `Last lines of the log:\n${outcome.logTail.map(visible).join("\n")}` : "",
    `sent by backup_scripts ${outcome.version}`,
  ];
  return blocks.filter(Boolean).join("\n\n");
}

/** Columns as wide as their widest cell; what is to be said of a database stands below its row. */
export function databaseTable(rows: readonly DatabaseRow[]): string {
  if (rows.length === 0) return "";
  const [head, ...lines] = columns([tableHeads, ...rows.map(({ cells }) => cells)]);
  const blocks = rows.flatMap(({ remarks }, at) => [lines[at], ...remarks.map((remark) => `    ${remark}`)]);
  return [head, ...blocks].join("\n");
}

const colour = { success: "#15703c", warning: "#8a5300", failure: "#b42318", test: "#1f4e8c" };

/** The text in letters of one width, so that its columns stand in every mail program. Styles are inline: many know nothing else. */
const layOut = (title: string, tone: string, text: string): string =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <title>${title}</title>
      </head>
      <body style="margin:0;padding:12px;background:#ffffff;color:#111827">
        <h1 style="margin:0;padding:12px;background:${tone};color:#ffffff;font:bold 18px/1.3 sans-serif">${title}</h1>
        <pre style="font:14px/1.5 Menlo,Consolas,monospace;white-space:pre-wrap;word-break:break-word">
${lines(text)}</pre>
      </body>
    </html> `.text;
