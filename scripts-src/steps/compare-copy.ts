/** Compares a backup with the database that was restored from it: first everything as digests, then the rows of what differs. */
import { Failure } from "../base/errors.ts";
import { type Compared, compareFingerprints, type Comparing, type Fingerprint } from "../database/fingerprint.ts";
import { RowBuckets, type RowSet } from "../database/row-digest.ts";

interface Sides {
  comparing: Comparing;
  /** The SQL of the backup, and a dump of the copy; each can be read several times. */
  backup: () => AsyncIterable<Uint8Array>;
  copy: () => AsyncIterable<Uint8Array>;
  sameSeries: boolean;
  /** The copy was made without owners and privileges. */
  noOwner: boolean;
  /** Statements that the copy was made without. */
  leftOut: ReadonlySet<string>;
  /** Values can be shown: the backup is not encrypted. */
  showsValues: boolean;
}

/** Throws a `Failure` that names the tables, rows, sequences, large objects and statements that differ. */
export async function compareCopy(sides: Sides): Promise<Compared> {
  const { comparing, noOwner, leftOut } = sides;
  const backup = await comparing.read(sides.backup(), { noOwner, leftOut });
  const copy = await comparing.read(sides.copy(), { first: backup, noOwner, leftOut });
  const compared = compareFingerprints(backup, copy, comparing, sides);
  const differences = compared.data.length + compared.statements.length;
  if (differences === 0) return compared;
  const rows = compared.tables.length > 0 ? await findRows(sides, backup, compared.tables.slice(0, shownTables)) : [];
  throw new Failure(["the restored copy differs from the backup:", ...describe(compared, rows)].join("\n"), {
    hints: [
      "do not rely on this backup: take another one and prove it; keep this file, it shows what went wrong",
      "look at the programs in DB_CLIENT_DIR or on PATH, and at the servers' logs and disks",
    ],
  });
}

const [shownTables, shownRows, shownStatements, shownLength] = [20, 3, 20, 200];

interface Row {
  table: string;
  only: "backup" | "copy";
  text: string;
}

/** The first rows of each table that only one side has. */
async function findRows(sides: Sides, first: Fingerprint, tables: readonly string[]): Promise<Row[]> {
  const { comparing } = sides;
  const buckets = new Map(tables.map((table) => [table, new RowBuckets()]));
  await comparing.read(sides.backup(), { first, sinkOf: (table) => buckets.get(table) });
  const removing = new Map([...buckets].map(([table, all]) => [table, { add: all.remove.bind(all) }]));
  await comparing.read(sides.copy(), { first, sinkOf: (table) => removing.get(table) });
  const left = new Map([...buckets].map(([table, all]) => [table, all.remainder()]));
  const found: Row[] = [];
  const collect = (only: Row["only"], setOf: (table: string) => RowSet | undefined) => (table: string) => {
    const set = setOf(table);
    return set && rowFinder(set, (text) => found.push({ table, only, text: shown(text, first, table, sides) }));
  };
  const added = collect("backup", (table) => left.get(table)?.added);
  await comparing.read(sides.backup(), { first, sinkOf: added });
  const removed = collect("copy", (table) => left.get(table)?.removed);
  await comparing.read(sides.copy(), { first, sinkOf: removed });
  return found;
}

function rowFinder(set: RowSet, found: (text: string) => void) {
  let count = 0;
  return {
    add(bytes: Uint8Array, from: number, to: number) {
      if (count < shownRows && set.take(bytes, from, to) && ++count)
        found(Buffer.from(bytes.subarray(from, to)).toString());
    },
  };
}

/** A row by its first column, which mostly is its key; with its values unless the backup is encrypted. */
function shown(text: string, first: Fingerprint, table: string, { showsValues }: Sides): string {
  const [key = ""] = text.replace(/^\(/, "").split(/[\t,]/);
  const column = first.tables.get(table)?.columns[0] ?? "first column";
  const row = `${column} ${key.slice(0, shownLength)}`;
  return showsValues ? `${row}: ${text.slice(0, shownLength).replaceAll("\t", " | ")}` : row;
}

function describe({ data, statements }: Compared, rows: readonly Row[]): string[] {
  const lines = data.flatMap(({ what, how }) => [
    `${what}: ${how}`,
    ...rows.filter(({ table }) => what === `table ${table}`).map(({ only, text }) => `  only in the ${only}: ${text}`),
  ]);
  const texts = statements
    .slice(0, shownStatements)
    .map(
      ({ only, text }) => `statement only in the ${only}: ${text.replaceAll(/\s+/g, " ").slice(0, 2 * shownLength)}`,
    );
  const more = statements.length - texts.length;
  return [...lines, ...texts, ...(more > 0 ? [`and ${more} more statements`] : [])];
}
