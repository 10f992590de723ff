/** Proves a backup: restores it into a new database, compares the two, drops the copy. */
import type { ProofFacts } from "../archive/proof.ts";
import type { OpenBackup } from "../archive/read.ts";
import parseWords from "string-argv";
import { Failure, messageOf, Stopped } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import { showProgress } from "../base/progress.ts";
import { counted, durationText } from "../base/text.ts";
import { version } from "../base/version.ts";
import type { Connected, Contents } from "../database/database.ts";
import type { Loaded, LoadOptions, Scratch } from "../database/restoring.ts";
import type { Job } from "../run/script.ts";
import { queryFor } from "../settings/verify-queries.ts";
import { compareCopy } from "./compare-copy.ts";
import { propertiesOf } from "./open-chosen.ts";

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
  const { respelled } = await compareCopy({
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
  const value = await scratch.ask(query);
  if (!/^(t|true|1)$/i.test(value))
    throw new Failure(`VERIFY_QUERY is not true for ${name}: ${query} returned ${value === "" ? "nothing" : value}`, {
      hints: ["the copy is equal to the backup, but its content is not what you expect"],
    });
  log.info(`VERIFY_QUERY is true: ${query}`);
  return true;
}
