/** What the server lists in the database, against what a dump holds: dump programs leave out silently what their user cannot see. */
import { Failure } from "../../base/errors.ts";
import type { Connection } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { idOf, type Objects, objectsFrom, objectsQuestion } from "./objects.ts";
import { query } from "./session.ts";

/** What is listed and not in the dump; `options` of the dump program may have left it out on purpose. */
function missingIn(contents: DumpContents, listed: Objects, options: readonly string[], database: string): string[] {
  const dumped = new Set([
    ...contents.tables.map((name) => `TABLE ${name}`),
    ...[...contents.views].map((name) => `VIEW ${name}`),
    ...[...contents.triggers].map((name) => `TRIGGER ${name}`),
    ...contents.programs,
  ]);
  const ignored = (table: string) =>
    options.some((option) => /^--ignore-(?:table|view)/.test(option) && option.endsWith(`=${database}.${table}`));
  const leftOut = (kind: string) => options.some((option) => (leavesOut[kind] ?? /routines/).test(option));
  return [...listed.tables.map(({ name }) => ({ kind: "TABLE", name, table: name })), ...listed.others]
    .filter((one) => !dumped.has(idOf(one)) && !ignored(one.table) && !leftOut(one.kind))
    .map(({ kind, name }) => `${kind.toLowerCase()} ${name}`);
}

/** Options of the dump program that leave out objects of a kind. */
const leavesOut: Readonly<Record<string, RegExp>> = {
  TABLE: /no-create-info/,
  VIEW: /no-create-info|ignore-views/,
  TRIGGER: /triggers/,
  EVENT: /events/,
};

/** Throws a `Failure` when the dump lacks what the server lists; what has been dropped since is warned of. */
export async function checkListed(
  connection: Connection,
  contents: DumpContents,
  listed: Objects,
  options: readonly string[],
): Promise<void> {
  const { database } = connection.target;
  const missing = missingIn(contents, listed, options, database);
  if (missing.length === 0) return;
  const now = missingIn(
    contents,
    objectsFrom(await query(connection, objectsQuestion("database()"))),
    options,
    database,
  );
  const there = missing.filter((object) => now.includes(object));
  const gone = missing.filter((object) => !now.includes(object));
  if (gone.length > 0) connection.log.warn(`dropped while the backup ran, and not in it: ${gone.join(", ")}`);
  if (there.length === 0) return;
  throw new Failure(`the dump lacks what the server lists: ${there.join(", ")}`, {
    hints: [
      "look at the privileges of the database user and at DB_DUMP_OPTIONS; the dump program left it out without a message",
    ],
  });
}
