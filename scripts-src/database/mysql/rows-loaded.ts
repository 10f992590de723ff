/** Rows that the server holds after a load. */
import type { Place } from "./exchange.ts";
import { quoteName } from "./names.ts";
import { listObjects, type Table } from "./objects.ts";
import { Session } from "./session.ts";

/** Engines whose rows no dump holds: they are in other tables, or elsewhere. */
const elsewhere = /^(?:MRG_MyISAM|FEDERATED|SPIDER|CONNECT|OQGRAPH|BLACKHOLE)$/i;

/** Of each table with rows; of those that keep their history, with it. */
export async function countRows(place: Place, database: string): Promise<Map<string, number>> {
  const session = new Session(place.connection, place.client, `cannot count the rows of ${database}`);
  try {
    session.write(place.settings);
    const { tables } = await listObjects(session, database);
    const counted = tables.filter(({ kind, engine }) => kind !== "SEQUENCE" && !elsewhere.test(engine));
    const from = ({ name, kind }: Table) =>
      `${quoteName(database)}.${quoteName(name)}${kind === "SYSTEM VERSIONED" ? " FOR SYSTEM_TIME ALL" : ""}`;
    if (counted.length === 0) return new Map();
    const rows = await session.ask(counted.map((table) => `SELECT count(*) FROM ${from(table)}`).join(";\n"));
    const counts = counted.map(({ name }, i) => [name, Number(rows[i]?.[0])] as const);
    return new Map(counts.filter(([, count]) => count > 0));
  } finally {
    await session.stop();
  }
}
