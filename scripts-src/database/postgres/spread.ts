/**
 * Loads a dump over several sessions, as fast as the server's cores allow: the rows of each table in turns, then indexes side
 * by side; all else in the dump's order, one statement after the other. Committed in short steps: only for a database that nobody
 * sees before all of it is done.
 */
import { compareRows } from "../compare-rows.ts";
import type { Loaded } from "../restoring.ts";
import { LoadFilter } from "./filter.ts";
import { Lanes } from "./lanes.ts";
import { LoadReport } from "./load-report.ts";
import { asDumped, expectedRows, type Loading, ourEncoding, piecesToLoad, rowsAgain } from "./load.ts";
import { counting } from "./names.ts";
import { Session, withoutTimeouts, writable } from "./session.ts";

/** The exchange that follows is durable, and with it everything that was committed before. */
const settings = ["SET synchronous_commit = off;", withoutTimeouts("session"), writable.trim(), ...asDumped];

/**
 * Loads a dump into a database of its own, over so many `sessions`. Throws a `Failure`, also when rows differ (unless `keepGoing`); then
 * the database may hold any part of the dump.
 */
export async function loadSpread(
  sql: AsyncIterable<Uint8Array>,
  loading: Loading,
  { sessions, keepGoing }: { sessions: number; keepGoing: boolean },
): Promise<Loaded> {
  const { connection, contents, rules, prelude } = loading;
  const filter = new LoadFilter(rules);
  const report = new LoadReport(keepGoing);
  const open = () => new Session(connection, () => `the restore into ${connection.where} failed`, { counts: true });
  const lanes = new Lanes(sessions, report, { open, again: (tables) => rowsAgain(sql, rules, tables) });
  try {
    for (const statement of settings) lanes.setting(statement);
    for (const statement of prelude) await lanes.statement(statement);
    for await (const piece of piecesToLoad(sql, filter)) await lanes.take(piece);
    lanes.setting(ourEncoding);
    await lanes.loaded();
    for (const table of report.uncounted(contents.rows.keys())) await lanes.statement(counting(table), { table });
    for (const statement of filter.atTheEnd) await lanes.statement(statement);
    await lanes.end();
  } catch (error) {
    await lanes.stop();
    throw error;
  }
  const loaded = report.result();
  if (!keepGoing) compareRows(expectedRows(loading), loaded.rows);
  return {
    ...loaded,
    warnings: [...filter.warnings, ...loaded.warnings],
    leftOut: [...filter.leftOut, ...loaded.leftOut],
  };
}
