/** One database on the page: its days, its charts, its last proof, and what retention deletes next. */
import { ageText, bytesText, counted, durationText } from "../base/text.ts";
import { chart } from "./chart.ts";
import type { DatabaseFacts, Day, DayState } from "./facts.ts";
import { html, type Html } from "../base/html.ts";

const meaning: Record<DayState, string> = {
  good: "good",
  warning: "with a warning",
  missing: "failed or missing",
  none: "no backup kept",
};
const number = (value: number) => value.toLocaleString("en");
const describe = ({ state, proved }: Day) => meaning[state] + (proved ? ", proved" : "");

export function databaseSection(one: DatabaseFacts, now: Date): Html {
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

/** How many of the backups that go are named. */
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
