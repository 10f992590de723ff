/** The mail of an outcome: subject, plain text and HTML. Pure. */
import { columns, visible } from "../base/text.ts";
import { type DatabaseRow, databaseRows, factsOf, tableHeads } from "./message-facts.ts";
import type { Outcome } from "./outcome.ts";
import { subjectOf } from "./subject.ts";
import { html, type Html, lines } from "../base/html.ts";

export interface Message {
  /** One line without control characters, whatever the settings hold. */
  subject: string;
  text: string;
  html: string;
}

/** What a notice says, before it gets a form. */
interface Content {
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

const colour = { success: "#15703c", warning: "#8a5300", failure: "#b42318", test: "#1f4e8c" };
const style = {
  body: "margin:0;padding:12px;background:#f3f4f6;color:#111827;font:16px/1.45 -apple-system,Segoe UI,Roboto,Arial,sans-serif",
  card: "max-width:640px;margin:0 auto;background:#ffffff;border-radius:8px;overflow:hidden;overflow-wrap:anywhere;word-break:break-word",
  head: "margin:0;padding:14px 16px;color:#ffffff;font-size:19px;line-height:1.3;background:",
  inner: "padding:2px 16px 12px",
  what: "font-size:17px;white-space:pre-line",
  hint: "padding:8px 12px;background:#fef6e0;border-left:4px solid #d99a00",
  warning: "padding:8px 12px;background:#fdf0e3;border-left:4px solid #8a5300",
  table: "width:100%;border-collapse:collapse",
  label:
    "width:76px;padding:6px 8px 6px 0;border-top:1px solid #e5e7eb;color:#4b5563;font-size:15px;font-weight:normal;text-align:left;vertical-align:top",
  value: "padding:6px 0;border-top:1px solid #e5e7eb;font-size:15px;vertical-align:top",
  column: "padding:6px 8px 2px 0;color:#4b5563;font-size:13px;text-align:left",
  cell: "padding:6px 8px 2px 0;border-top:1px solid #e5e7eb;font-size:14px;vertical-align:top",
  message: "padding:0 8px 6px 0;font-size:14px;color:#4b5563",
  heading: "margin:20px 0 6px;font-size:16px",
  log: "margin:0;padding:10px;background:#f3f4f6;border-radius:6px;font:12px/1.5 Menlo,Consolas,monospace;white-space:pre-wrap",
  foot: "color:#4b5563;font-size:13px",
};

/** The complete HTML page of a notice; every text in it is escaped. */
function layOut({ title, tone, what, warnings, hints, facts, databases, log, foot }: Content): string {
  const warned = warnings.map((warning) => html`<p style="${style.warning}"><b>Warning:</b> ${lines(warning)}</p>`);
  const advice = hints.map((hint) => html`<p style="${style.hint}"><b>What to do:</b> ${lines(hint)}</p>`);
  const rows = facts.map(
    ([label, value]) =>
      html`<tr>
        <th style="${style.label}">${label}</th>
        <td style="${style.value}">${value}</td>
      </tr>`,
  );
  const lastLines = html`<h2 style="${style.heading}">Last lines of the log</h2>
    <pre style="${style.log}">${lines(log.join("\n"))}</pre>`;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <meta name="color-scheme" content="light" />
        <title>${title}</title>
      </head>
      <body style="${style.body}">
        <div style="${style.card}">
          <h1 style="${style.head}${colour[tone]}">${title}</h1>
          <div style="${style.inner}">
            <p style="${style.what}">${lines(what)}</p>
            ${warned} ${advice} ${databases.length > 0 ? htmlTable(databases) : ""}
            <table style="${style.table}">
              ${rows}
            </table>
            ${log.length > 0 ? lastLines : ""}
            <p style="${style.foot}">${foot}</p>
          </div>
        </div>
      </body>
    </html> `.text;
}

function htmlTable(rows: readonly DatabaseRow[]): Html {
  const heads = tableHeads.map((head) => html`<th style="${style.column}">${head}</th>`);
  const body = rows.map(
    ({ status, cells, remarks }) =>
      html`<tr>
          ${cells.map((cell) => html`<td style="${style.cell};color:${status === "success" ? "inherit" : colour[status]}">${cell}</td>`)}
        </tr>
        ${remarks.map(
          (remark) =>
            html`<tr>
              <td colspan="${cells.length}" style="${style.message}">${remark}</td>
            </tr>`,
        )}`,
  );
  return html`<table style="${style.table}">
    <tr>
      ${heads}
    </tr>
    ${body}
  </table>`;
}
