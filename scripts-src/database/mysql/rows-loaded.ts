/** Rows that the server holds after a load. */
import { compareRows } from "../compare-rows.ts";
import type { Loaded } from "../restoring.ts";
import type { Place } from "./connection.ts";
import { quoteName } from "./names.ts";
import { listObjects, type Table } from "./objects.ts";
import { Session } from "./session.ts";

/** Engines whose rows no dump holds: they are in other tables, or elsewhere. */
const elsewhere = /^(?:MRG_MyISAM|FEDERATED|SPIDER|CONNECT|OQGRAPH|BLACKHOLE)$/i;

/** What was loaded into `database`: its rows, compared with the dump's. Throws a `Failure` that names the tables that differ. */
export async function checkRows(
  place: Place,
  database: string,
  dumped: ReadonlyMap<string, number> | undefined,
): Promise<Loaded> {
  const loaded = await countRows(place, database);
  // some servers keep names in lower case
  const kept = ([name, rows]: [string, number]): [string, number] => [
    loaded.has(name) ? name : name.toLowerCase(),
    rows,
  ];
  compareRows(dumped && new Map([...dumped].map(kept)), loaded);
  return { rows: loaded, warnings: [], skipped: [], leftOut: [] };
}

/** Of each table with rows; of those that keep their history, with it. */
async function countRows(place: Place, database: string): Promise<Map<string, number>> {
  await using session = new Session(place, `cannot count the rows of ${database}`);
  session.write(place.settings);
  const { tables } = await listObjects(session, database);
  const counted = tables.filter(({ kind, engine }) => kind !== "SEQUENCE" && !elsewhere.test(engine));
  const from = ({ name, kind }: Table) =>
    `${quoteName(database)}.${quoteName(name)}${kind === "SYSTEM VERSIONED" ? " FOR SYSTEM_TIME ALL" : ""}`;
  if (counted.length === 0) return new Map();
  const rows = await session.ask(counted.map((table) => `SELECT count(*) FROM ${from(table)}`).join(";\n"));
  const counts = counted.map(({ name }, i) => [name, Number(rows[i]?.[0])] as const);
  return new Map(counts.filter(([, count]) => count > 0));
}
