/** Proves a backup: restores it into a new database, compares the two, drops the copy. */
import parseWords from "string-argv";
import type { ProofFacts } from "../archive/manifest.ts";
import type { OpenBackup } from "../archive/read.ts";
import { Failure, messageOf, Stopped } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import { showProgress } from "../base/progress.ts";
import { counted, durationText, listed } from "../base/text.ts";
import { version } from "../base/version.ts";
import type { Connected, Contents } from "../database/database.ts";
import type { Loaded, LoadOptions, Scratch } from "../database/restoring.ts";
import type { Job } from "../run/script.ts";
import { queryFor } from "../settings/name-patterns.ts";
import { propertiesOf } from "./open-chosen.ts";
import {
  type Compared,
  compareFingerprints,
  type Comparing,
  type Fingerprint,
  type ReadingOptions,
} from "../database/fingerprint.ts";
import { RowBuckets, type RowSet } from "../database/row-digest.ts";

interface ToProve {
  /** Server on which the copy is made. */
  database: Connected;
  file: OpenBackup;
  contents: Contents;
  /** The file is our own: see `LoadOptions.trusted`. */
  trusted: boolean;
  /** By `dumpOptionsFor`. */
  dumpOptions: readonly string[];
}

/**
 * Options with which the dump of the copy can be compared with the backup: those that it was made with, where its manifest can be
 * trusted. Throws `Failure`.
 */
export function dumpOptionsFor({ settings }: Job, { name, manifest }: OpenBackup, trusted: boolean): readonly string[] {
  const present = parseWords(settings.DB_DUMP_OPTIONS ?? "");
  const made = manifest?.dumpOptions ?? present;
  if (trusted || made.join("\0") === present.join("\0")) return made;
  const words = made.map(quote).join(" ");
  throw new Failure(`${name} was not made with the present DB_DUMP_OPTIONS, and its manifest is not signed`, {
    hints: [
      `to prove it: DB_DUMP_OPTIONS=${quote(words) || "''"} verify …, when you know these options; or set MANIFEST_KEY`,
    ],
  });
}

/** What the proof says. Throws a `Failure`: the backup cannot be restored, or the copy differs from it. */
export async function verifyBackup(job: Job, wanted: ToProve): Promise<ProofFacts> {
  const { database, file, contents } = wanted;
  const started = Date.now();
  await using copy = await restoreCopy(job, wanted);
  const { scratch, loaded, waived, options, restoreMs } = copy;
  job.log.info(`${file.name} was restored into ${scratch.name} in ${durationText(restoreMs)}; comparing`);
  const { comparing } = database;
  const seriesOf = (version = "") => comparing.series.exec(version)?.[0];
  const sameSeries = seriesOf(contents.serverVersion) === seriesOf(database.server.version);
  const { respelled, respelledTables } = await compareCopy({
    comparing,
    backup: () => file.sql(),
    copy: () => scratch.dump(wanted.dumpOptions),
    sameSeries,
    noOwner: options.noOwner,
    leftOut: new Set(loaded.leftOut),
    showsValues: !file.encrypted,
  });
  const asked = await askQuery(job, scratch, file);
  return {
    backup: file.name,
    sha256: file.manifest?.sha256 ?? "",
    provedAt: new Date().toISOString(),
    restoreMs,
    durationMs: Date.now() - started,
    serverVersion: database.server.version,
    server: database.where,
    tables: contents.tables.length,
    rows: [...loaded.rows.values()].reduce((sum, rows) => sum + rows, 0),
    compared: [
      "every row of every table",
      "sequences and large objects",
      sameSeries ? "every statement of the schema" : "every object of the schema by kind and name",
      ...(respelled > 0 ? [`${counted(respelled, "statement")} equal but for spelling`] : []),
      ...(respelledTables.length > 0 ? [`numbers in JSON by their value: ${listed(respelledTables)}`] : []),
      ...(asked ? ["VERIFY_QUERY"] : []),
    ],
    leftOut: [...loaded.warnings, ...waived, ...(options.noOwner ? ["owners and privileges"] : [])],
    programVersion: version,
  };
}

interface Copy {
  scratch: Scratch;
  loaded: Loaded;
  /** What the server or the login cannot have. */
  waived: string[];
  options: LoadOptions;
  /** How long (ms) creating and loading took. */
  restoreMs: number;
}

/** The backup as a database; with owners and privileges where the login can give them, else without. */
async function restoreCopy(job: Job, wanted: ToProve): Promise<Copy & AsyncDisposable> {
  return attempt(job, wanted, false).catch(async (error: unknown) => {
    job.signal.throwIfAborted();
    if (!(error instanceof Failure)) throw error;
    const copy = await attempt(job, wanted, true);
    job.log.info(`restored without owners and privileges; with them the restore failed: ${messageOf(error)}`);
    return copy;
  });
}

async function attempt(job: Job, wanted: ToProve, noOwner: boolean): Promise<Copy & AsyncDisposable> {
  const { database, file, contents, trusted } = wanted;
  const options = { noOwner, keepGoing: false, asleep: true, proof: true, trusted };
  const plan = await database.plan(contents, await database.target(), options);
  const { waived = [] } = plan;
  const problems = [...plan.problems, ...plan.createProblems];
  if (problems.length > 0) throw cannotProve(database, file, problems);
  const started = Date.now();
  const properties = await propertiesOf(job, file, { roles: false });
  await using made = new AsyncDisposableStack();
  const scratch = made.use(await database.createScratch({ purpose: "verify", properties }));
  using progress = showProgress("verify", file.bytes);
  const loaded = await scratch.load(file.sql(progress.add), contents, options).catch((error: unknown) => {
    if (waived.length === 0 || !(error instanceof Failure) || error instanceof Stopped) throw error;
    throw cannotProve(database, file, [messageOf(error), ...waived]);
  });
  const [all, restoreMs] = [made.move(), Date.now() - started];
  return { scratch, loaded, waived, options, restoreMs, [Symbol.asyncDispose]: () => all.disposeAsync() };
}

const cannotProve = ({ where }: Connected, { name }: OpenBackup, problems: readonly string[]) =>
  new Failure(`cannot restore ${name} on ${where} to prove it:\n${problems.join("\n")}`, {
    hints: ["fix what is listed, or set VERIFY_DATABASE_URL to a server for proofs"],
  });

/** Whether one was asked. Throws a `Failure` when its value is not true. */
async function askQuery(
  { settings, log }: Job,
  scratch: Pick<Scratch, "ask">,
  { name, manifest }: Pick<OpenBackup, "name" | "manifest">,
): Promise<boolean> {
  const query = settings.VERIFY_QUERY && queryFor(settings.VERIFY_QUERY, manifest?.database ?? "");
  if (!query) return false;
  const value = await scratch.ask(query).catch((error: unknown) => {
    throw error instanceof Failure && !(error instanceof Stopped)
      ? error.reworded(`VERIFY_QUERY failed for ${name}: ${error.message}`, [
          "check VERIFY_QUERY (./help VERIFY_QUERY)",
        ])
      : error;
  });
  if (!/^(t|true|1)$/i.test(value))
    throw new Failure(`VERIFY_QUERY is not true for ${name}: ${query} returned ${value === "" ? "nothing" : value}`, {
      hints: ["the copy is equal to the backup, but its content is not what you expect"],
    });
  log.info(`VERIFY_QUERY is true: ${query}`);
  return true;
}

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

/**
 * Compares everything by digests first, then the rows of tables that differ. Returns the number of statements, and the tables, that are
 * equal but for the spelling. Throws a `Failure` that names the tables, rows, sequences, large objects and statements that differ.
 */
async function compareCopy(sides: Sides): Promise<{ respelled: number; respelledTables: string[] }> {
  const strictly = await compare(sides, false);
  const loosely = sides.comparing.respellsRows && strictly.compared.tables.length > 0;
  const { backup, compared } = loosely ? await compare(sides, true) : strictly;
  const { data, statements, tables, respelled } = compared;
  if (data.length + statements.length === 0)
    return { respelled, respelledTables: loosely ? strictly.compared.tables : [] };
  const rows = tables.length > 0 ? await findRows(sides, { first: backup, loosely }, tables.slice(0, shownTables)) : [];
  throw new Failure(["the restored copy differs from the backup:", ...describe(compared, rows)].join("\n"), {
    hints: [
      "do not rely on this backup: take another one and prove it; keep this file, it shows what went wrong",
      "look at the programs in DB_CLIENT_DIR or on PATH, and at the servers' logs and disks",
    ],
  });
}

async function compare(sides: Sides, loosely: boolean): Promise<{ backup: Fingerprint; compared: Compared }> {
  const { comparing, noOwner, leftOut } = sides;
  const backup = await comparing.read(sides.backup(), { noOwner, leftOut, loosely });
  const copy = await comparing.read(sides.copy(), { first: backup, noOwner, leftOut, loosely });
  return { backup, compared: compareFingerprints(backup, copy, comparing, sides) };
}

const [shownTables, shownRows, shownStatements, shownLength] = [20, 3, 20, 200];

interface Row {
  table: string;
  only: "backup" | "copy";
  text: string;
}

type Reading = Pick<ReadingOptions, "loosely"> & { first: Fingerprint };

/** The first rows of each table that only one side has. */
async function findRows(sides: Sides, reading: Reading, tables: readonly string[]): Promise<Row[]> {
  const { comparing } = sides;
  const { first } = reading;
  const buckets = new Map(tables.map((table) => [table, new RowBuckets()]));
  await comparing.read(sides.backup(), { ...reading, sinkOf: (table) => buckets.get(table) });
  const removing = new Map([...buckets].map(([table, all]) => [table, { add: all.remove.bind(all) }]));
  await comparing.read(sides.copy(), { ...reading, sinkOf: (table) => removing.get(table) });
  const left = new Map([...buckets].map(([table, all]) => [table, all.remainder()]));
  const found: Row[] = [];
  const collect = (only: Row["only"], setOf: (table: string) => RowSet | undefined) => (table: string) => {
    const set = setOf(table);
    return set && rowFinder(set, (text) => found.push({ table, only, text: shown(text, first, table, sides) }));
  };
  const added = collect("backup", (table) => left.get(table)?.added);
  await comparing.read(sides.backup(), { ...reading, sinkOf: added });
  const removed = collect("copy", (table) => left.get(table)?.removed);
  await comparing.read(sides.copy(), { ...reading, sinkOf: removed });
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
