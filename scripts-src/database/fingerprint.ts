/** What two dumps of equal databases have in common, and how they differ otherwise. */
import { RowDigest, type RowSink } from "./row-digest.ts";

/** What a dump says, without the order in which it says it. */
export interface Fingerprint {
  /** The database that was dumped, where the dump says so. */
  database?: string | undefined;
  /** Rows by table, as the server knows it: `schema.table`. */
  tables: Map<string, { columns: readonly string[]; digest: RowDigest }>;
  /** Other data by name: "sequence public.orders_id_seq", "large object 16402". */
  values: Map<string, string>;
  /** Statements of the schema, each with how often it stands there. */
  statements: Map<string, number>;
}

export interface ReadingOptions {
  /** Rows are brought into the column order of that dump. */
  first?: Fingerprint;
  /** Where the rows of a table go instead of a digest. */
  sinkOf?: (table: string) => RowSink | undefined;
  /** The copy was made without owners and privileges: they are not compared. */
  noOwner?: boolean;
  /** Statements that the load left out on purpose: they, and rows that follow them, are not compared. */
  leftOut?: ReadonlySet<string>;
  /** Rows without what a server can spell differently after a restore. */
  loosely?: boolean;
}

/** How an engine reads its dumps for a comparison. */
export interface Comparing {
  read(sql: AsyncIterable<Uint8Array>, options?: ReadingOptions): Promise<Fingerprint>;
  /** The statement without what a server spells differently after a restore: casts, parentheses, white space. */
  loosen(statement: string): string;
  /** The server can spell rows differently after a restore: `read` can read them loosely. */
  respellsRows: boolean;
  /** Finds the series in the version of a server. Servers of one series write a schema in the same words. */
  series: RegExp;
  /** Kind and name of the object that a statement makes, undefined for others: all that can be compared across major versions. */
  objectOf(statement: string): string | undefined;
}

interface Difference {
  /** "table public.orders", "sequence …", "large object …". */
  what: string;
  /** In numbers or words: "1,203 rows in the backup, 1,202 restored". */
  how: string;
}

export interface Compared {
  /** Rows, sequences and large objects that differ. */
  data: Difference[];
  /** Tables whose rows differ. */
  tables: string[];
  /** Statements that only the backup or only the copy has. */
  statements: { only: "backup" | "copy"; text: string }[];
  /** How many statements are equal but for their spelling. */
  respelled: number;
}

/** Compares the fingerprint of a backup with that of a dump of the database that was restored from it. */
export function compareFingerprints(
  backup: Fingerprint,
  copy: Fingerprint,
  comparing: Pick<Comparing, "loosen" | "objectOf">,
  options: { sameSeries: boolean },
): Compared {
  const tables = namesOf(backup.tables, copy.tables).filter((table) => {
    const [one, other] = [backup.tables.get(table), copy.tables.get(table)];
    return !one || !other || !one.digest.equals(other.digest) || !sameNames(one.columns, other.columns);
  });
  const values = namesOf(backup.values, copy.values).filter(
    (name) => backup.values.get(name) !== copy.values.get(name),
  );
  const data = [
    ...tables.map((table) => ({
      what: `table ${table}`,
      how: describeRows(backup.tables.get(table), copy.tables.get(table)),
    })),
    ...values.map((name) => ({ what: name, how: describeValue(backup.values.get(name), copy.values.get(name)) })),
  ];
  return { data, tables, ...compareStatements(backup, copy, comparing, options) };
}

function compareStatements(
  backup: Fingerprint,
  copy: Fingerprint,
  { loosen, objectOf }: Pick<Comparing, "loosen" | "objectOf">,
  { sameSeries }: { sameSeries: boolean },
): Pick<Compared, "statements" | "respelled"> {
  const exact = subtract(backup.statements, copy.statements);
  const second = sameSeries ? loosen : (text: string) => objectOf(text) ?? "";
  const left = new Map<string, number>();
  for (const { text, count } of exact) left.set(second(text), (left.get(second(text)) ?? 0) + count);
  left.delete("");
  const differing = exact.filter(({ text, count }) => (left.get(second(text)) ?? 0) * count > 0);
  return {
    statements: differing.map(({ text, count }) => ({ only: count > 0 ? "backup" : "copy", text })),
    respelled: exact.filter(({ count }) => count > 0).length - differing.filter(({ count }) => count > 0).length,
  };
}

/** What is left when equal statements are taken away: a positive count of those that only the first has. */
function subtract(first: ReadonlyMap<string, number>, second: ReadonlyMap<string, number>) {
  return namesOf(first, second).flatMap((text) => {
    const count = (first.get(text) ?? 0) - (second.get(text) ?? 0);
    return count === 0 ? [] : [{ text, count }];
  });
}

const namesOf = (first: ReadonlyMap<string, unknown>, second: ReadonlyMap<string, unknown>): string[] => [
  ...new Set([...first.keys(), ...second.keys()]),
];

/** The order does not matter: the rows were compared in the order of the first. */
const sameNames = (first: readonly string[], second: readonly string[]): boolean =>
  first.toSorted().join("\0") === second.toSorted().join("\0");

type Table = { columns: readonly string[]; digest: RowDigest } | undefined;

function describeRows(backup: Table, copy: Table): string {
  if (!copy) return `${rowsText(backup)} in the backup, the table is missing in the copy`;
  if (!backup) return `not in the backup, ${rowsText(copy)} in the copy`;
  if (!sameNames(backup.columns, copy.columns))
    return `columns (${backup.columns.join(", ")}) in the backup, (${copy.columns.join(", ")}) in the copy`;
  if (backup.digest.rows !== copy.digest.rows)
    return `${rowsText(backup)} in the backup, ${rowsText(copy)} in the copy`;
  return `${rowsText(backup)} in both, but not the same ones`;
}

const rowsText = (table: Table) => {
  const rows = table?.digest.rows ?? 0;
  return `${rows.toLocaleString("en")} row${rows === 1 ? "" : "s"}`;
};

const describeValue = (backup: string | undefined, copy: string | undefined): string =>
  `${backup ?? "missing"} in the backup, ${copy ?? "missing"} in the copy`;

/** The digest of a table in a fingerprint that is being made. */
export function digestOf(tables: Fingerprint["tables"], table: string, columns: readonly string[]): RowDigest {
  const known = tables.get(table);
  if (known) return known.digest;
  const digest = new RowDigest();
  tables.set(table, { columns, digest });
  return digest;
}
