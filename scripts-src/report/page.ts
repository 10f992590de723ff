/** The report: one HTML page that needs nothing but itself. Pure. */
import { html, Html } from "../base/html.ts";
import { ageText, bytesText, counted, durationText, timeText } from "../base/text.ts";
import { style } from "./style.ts";

/** `none`: no backup of that day exists, and none has to. */
type DayState = "good" | "warning" | "missing" | "none";

export interface Day {
  /** UTC, `2026-01-31`. */
  day: string;
  state: DayState;
  proved: boolean;
  /** The last backup of the day. */
  name?: string;
  bytes?: number;
  rows?: number | undefined;
  durationMs?: number;
  /** Why it is a warning. */
  remark?: string;
}

export interface DatabaseFacts {
  name: string;
  /** The server's roles: they have no rows, and nothing proves them. */
  isRoles: boolean;
  /** Oldest first, the last one is today. */
  days: readonly Day[];
  /** Backups that exist, each counted once. */
  count: number;
  /** When the newest began, and the newest proof with the time (ms) that its restore took. */
  newest: Date | undefined;
  proof: { provedAt: Date; restoreMs: number } | undefined;
  /** What retention deletes next: name, place, rule. */
  deleted: readonly { name: string; where: string; why: string }[];
}

export interface ReportFacts {
  site: string;
  now: Date;
  version: string;
  /** The outcome of the run that wrote the page. */
  run?: { script: string; status: "success" | "warning" | "failure"; text: readonly string[] };
  /** Places that could not be listed. */
  troubles: readonly string[];
  databases: readonly DatabaseFacts[];
}

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

const meaning: Record<DayState, string> = {
  good: "good",
  warning: "with a warning",
  missing: "failed or missing",
  none: "no backup kept",
};
const number = (value: number) => value.toLocaleString("en");
const describe = ({ state, proved }: Day) => meaning[state] + (proved ? ", proved" : "");

function databaseSection(one: DatabaseFacts, now: Date): Html {
  const charts = [
    chart("Size", one.days, ({ bytes }) => bytes, bytesText),
    ...(one.isRoles ? [] : [chart("Rows", one.days, ({ rows }) => rows, number)]),
    chart("Duration", one.days, ({ durationMs }) => durationMs, durationText),
  ];
  return html`<section>
    <h2>${one.isRoles ? `${one.name} (the server's roles)` : one.name}</h2>
    <p>${standing(one, now)}</p>
    ${newestTrouble(one.days)} ${strip(one.days)}
    <div class="charts">${charts.flatMap((figure) => figure ?? [])}</div>
    ${dayTable(one.days)} ${deletions(one)}
  </section>`;
}

function standing({ newest, proof, count, isRoles }: DatabaseFacts, now: Date): Html {
  const age = (time: Date) => ageText(now.getTime() - time.getTime());
  const proved = proof
    ? html`last proved <b>${age(proof.provedAt)}</b>, time to recover <b>${durationText(proof.restoreMs)}</b>`
    : html`<b class="warning">never proved</b> (verify proves a backup)`;
  const newestText = newest
    ? html`newest backup <b>${age(newest)}</b>`
    : html`<b class="missing">no finished backup</b>`;
  return html`${newestText}; ${isRoles ? "" : html`${proved}; `}${counted(count, "backup")}`;
}

function newestTrouble(days: readonly Day[]): Html {
  const remark = days.findLast(({ name }) => name !== undefined)?.remark;
  return remark === undefined ? html`` : html`<div class="box warning">The newest backup: ${remark}</div>`;
}

function strip(days: readonly Day[]): Html {
  const number = (state: DayState) => days.filter((day) => day.state === state).length;
  const proved = days.filter((day) => day.proved).length;
  const label = `The last ${days.length} days: ${number("good")} good, ${number("warning")} with a warning, ${number("missing")} failed or missing, ${proved} proved`;
  return html`<div class="strip" role="img" aria-label="${label}">
      ${days.map(
        (day) => html`<i class="${day.state}${day.proved ? " proved" : ""}" title="${day.day}: ${describe(day)}"></i>`,
      )}
    </div>
    <p class="ends"><small>${days[0]?.day}</small><small>today</small></p>`;
}

function dayTable(days: readonly Day[]): Html {
  const shown = days.filter(({ state }) => state !== "none").toReversed();
  const row = (day: Day) =>
    html`<tr>
      <th scope="row">${day.day}</th>
      <td class="${day.state}">${describe(day)}${day.remark === undefined ? "" : `: ${day.remark}`}</td>
      <td class="name">${day.name ?? ""}</td>
      <td>${day.bytes === undefined ? "" : bytesText(day.bytes)}</td>
      <td>${day.rows === undefined ? "" : number(day.rows)}</td>
      <td>${day.durationMs === undefined ? "" : durationText(day.durationMs)}</td>
    </tr>`;
  return html`<details>
    <summary>The days as a table</summary>
    <div class="wide">
      <table>
        <thead>
          <tr>
            ${["Day", "State", "Last backup", "Size", "Rows", "Duration"].map((head) => html`<th scope="col">${head}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${shown.map(row)}
        </tbody>
      </table>
    </div>
  </details>`;
}

/** How many of the backups that will be deleted are named. */
const named = 20;

function deletions({ deleted }: DatabaseFacts): Html {
  if (deleted.length === 0) return html`<p>Retention deletes nothing next.</p>`;
  const items = deleted
    .slice(0, named)
    .map(({ name, where, why }) => html`<li><span class="name">${name}</span> in ${where}: ${why}</li>`);
  const more = deleted.length > named ? html`<li>and ${deleted.length - named} more</li>` : html``;
  return html`<p>Retention deletes next:</p>
    <ul>
      ${items}${more}
    </ul>`;
}

const size = { width: 300, height: 60, edge: 3 };

/** A figure with its first, last and largest value as text; undefined without values. */
function chart(
  title: string,
  days: readonly Day[],
  valueOf: (day: Day) => number | undefined,
  text: (value: number) => string,
): Html | undefined {
  const points = days.flatMap((day, at) => {
    const value = valueOf(day);
    return value === undefined ? [] : [{ at, value, day: day.day }];
  });
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return undefined;
  const most = Math.max(...points.map(({ value }) => value));
  const x = (at: number) => size.edge + (at / Math.max(1, days.length - 1)) * (size.width - 2 * size.edge);
  const y = (value: number) => size.height - size.edge - (value / (most || 1)) * (size.height - 2 * size.edge);
  const path = points.map(({ at, value }) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const words = `from ${text(first.value)} (${first.day}) to ${text(last.value)}, at most ${text(most)}`;
  return html`<figure>
    <figcaption>${title}: <b>${text(last.value)}</b></figcaption>
    <svg
      viewBox="0 0 ${size.width} ${size.height}"
      role="img"
      aria-label="${title}: ${words}"
      preserveAspectRatio="none"
    >
      <path class="ground" d="M0 ${size.height - 1}H${size.width}" />
      <polyline points="${path}" />
      <path class="dot" d="M${x(last.at).toFixed(1)} ${y(last.value).toFixed(1)}h0" />
    </svg>
    <small>${words}</small>
  </figure>`;
}
