/** The report: one HTML page that needs nothing but itself. Pure. */
import { databaseSection } from "./database.ts";
import type { ReportFacts } from "./facts.ts";
import { html, Html } from "../base/html.ts";
import { timeText } from "../base/text.ts";
import { style } from "./style.ts";

const tones = { success: "good", warning: "warning", failure: "missing" } as const;
const words = { success: "done", warning: "done, with warnings", failure: "failed" } as const;

export function reportPage({ site, now, version, run, troubles, databases }: ReportFacts): string {
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        />
        <meta name="color-scheme" content="light dark" />
        <link rel="icon" href="data:," />
        <title>Backups of ${site}</title>
        <style>
          ${new Html(style)}
        </style>
      </head>
      <body>
        <main>
          <h1>Backups of ${site}</h1>
          <p><time datetime="${now.toISOString()}">${timeText(now)}</time></p>
          ${run ? html`<div class="box ${tones[run.status]}">Last run: ${run.script} ${words[run.status]}${run.text.map((line) => html`<br />${line}`)}</div>` : html``}
          ${troubles.map((text) => html`<div class="box missing">could not be listed: ${text}</div>`)}
          <p class="legend" aria-hidden="true">
            <span><i class="good"></i> good</span> <span><i class="warning"></i> warning</span>
            <span><i class="missing"></i> failed or missing</span> <span><i class="none"></i> none kept</span>
            <span><i class="good proved"></i> proved</span>
          </p>
          ${databases.map((one) => databaseSection(one, now))}
          ${databases.length === 0 ? html`<p>There are no backups.</p>` : html``}
          <p><small>made by backup_scripts ${version}</small></p>
        </main>
      </body>
    </html>`;
  return `${page.text}\n`;
}
