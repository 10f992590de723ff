/** What the server lists in the database, against what a dump holds: dump programs leave out silently what their user cannot see. */
import { Failure } from "../../base/errors.ts";
import type { Connection } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { eventsOf } from "./objects.ts";
import { query } from "./session.ts";

/** "table customers", "trigger audit", "procedure work", with the table that it belongs to. */
export type Listed = ReadonlyMap<string, { kind: string; table: string }>;

/** By `trigger_schema`, which says the same, MariaDB would open every table of the server. */
export const listedQuestion = `
  SELECT 'listed', if(table_type LIKE '%VIEW', 'view', 'table'), table_name, table_name FROM information_schema.tables
    WHERE table_schema = database();
  SELECT 'listed', 'trigger', trigger_name, event_object_table FROM information_schema.triggers
    WHERE event_object_schema = database();
  SELECT 'listed', lower(routine_type), routine_name, '' FROM information_schema.routines WHERE routine_schema = database();
  SELECT 'listed', 'event', event_name, '' FROM ${eventsOf("database()")}`;

/** `rows` are the answers to `listedQuestion`, and others. */
export const listedFrom = (rows: readonly string[][]): Listed =>
  new Map(
    rows.flatMap(([tag, kind = "", name = "", table = ""]) =>
      tag === "listed" ? [[`${kind} ${name}`, { kind, table }]] : [],
    ),
  );

/** What is listed and not in the dump; `options` of the dump program may have left it out on purpose. */
function missingIn(contents: DumpContents, listed: Listed, options: readonly string[], database: string): string[] {
  const programs = [...contents.programs].map((program) => program.replace(/^[A-Z ]+ /, (kind) => kind.toLowerCase()));
  const dumped = new Set([
    ...contents.tables.map((name) => `table ${name}`),
    ...[...contents.views].map((name) => `view ${name}`),
    ...[...contents.triggers].map((name) => `trigger ${name}`),
    ...programs,
  ]);
  const ignored = (table: string) =>
    options.some((option) => /^--ignore-(?:table|view)/.test(option) && option.endsWith(`=${database}.${table}`));
  const leftOut = (kind: string) => options.some((option) => (leavesOut[kind] ?? /routines/).test(option));
  return [...listed]
    .filter(([object, { kind, table }]) => !dumped.has(object) && !ignored(table) && !leftOut(kind))
    .map(([object]) => object);
}

/** Options of the dump program that leave out objects of a kind. */
const leavesOut: Readonly<Record<string, RegExp>> = {
  table: /no-create-info/,
  view: /no-create-info|ignore-views/,
  trigger: /triggers/,
  event: /events/,
};

/** Throws a `Failure` when the dump lacks what the server lists; what has been dropped since is warned of. */
export async function checkListed(
  connection: Connection,
  contents: DumpContents,
  listed: Listed,
  options: readonly string[],
): Promise<void> {
  const missing = missingIn(contents, listed, options, connection.target.database);
  if (missing.length === 0) return;
  const now = listedFrom(await query(connection, listedQuestion));
  const there = missing.filter((object) => now.has(object));
  const gone = missing.filter((object) => !now.has(object));
  if (gone.length > 0) connection.log.warn(`dropped while the backup ran, and not in it: ${gone.join(", ")}`);
  if (there.length === 0) return;
  throw new Failure(`the dump lacks what the server lists: ${there.join(", ")}`, {
    hints: [
      "look at the privileges of the database user and at DB_DUMP_OPTIONS; the dump program left it out without a message",
    ],
  });
}
