/** restore: check a backup to its last byte, compare it with the target, then load it. */
import { dirname, resolve } from "node:path";
import type { Argv } from "yargs";
import { findLocal, findRemote, warnOfOwner } from "../steps/find-backup.ts";
import { checkFolder, inFolder, isReadOnly, lookAtFolder, prepareFolder } from "../places/folder.ts";
import type { Manifest } from "../archive/manifest.ts";
import { keysFrom } from "../archive/keys.ts";
import { formatBackupName, parseBackupName } from "../archive/name.ts";
import { openBackup, type OpenBackup } from "../archive/read.ts";
import { spool } from "../places/spool.ts";
import { watched } from "../archive/tally.ts";
import { requireSigned } from "../archive/trust.ts";
import { backupFolder, lockName, nameDatabase } from "../steps/backup-folder.ts";
import { checkLogin, checkPrivileges, checkRoom, type Target } from "../steps/dry-run-checks.ts";
import type { Connected, Contents, Database, LoadOptions, LoadPlan } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import { readDump } from "../database/read-dump.ts";
import { confirm, isAnyoneThere } from "../run/ask.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import { bytesText, counted, durationText } from "../base/text.ts";
import { isDiskFull } from "../base/disk.ts";
import { codeOf, Failure, messageOf, Stopped, usageFailure } from "../base/errors.ts";
import { takeLock, tryLock } from "../base/lock.ts";
import { checkNotices } from "../steps/check-notices.ts";
import { quote } from "../base/process.ts";
import { showProgress } from "../base/progress.ts";
import type { Job, Script } from "../run/script.ts";
import { takeSafetyBackup } from "../steps/safety-backup.ts";

interface Options {
  file: string | undefined;
  fromS3: boolean;
  noOwner: boolean;
  noSafetyBackup: boolean;
  keepSafetyBackup: boolean;
  swap: boolean;
  unsigned: boolean;
  yes: boolean;
  dryRun: boolean;
}

export const restore: Script<Options> = {
  name: "restore",
  summary:
    "Restores the database from a backup: the newest one in BACKUP_DIR or S3, or the one that is named. The backup is\n" +
    "checked to its last byte before the database is touched. With PostgreSQL a restore that fails changes nothing; with MySQL\n" +
    "and MariaDB, which cannot take that back, the present state is backed up first.",
  usage:
    "[FILE] [--from-s3] [--no-owner] [--swap] [--no-safety-backup | --keep-safety-backup] [--unsigned] [--yes] [--dry-run]",
  positionals: "[file]",
  examples: [
    ["restore", "restore the newest backup of the database"],
    ["restore app_2026-01-31_03-00-00.sql.gz", "restore that backup from BACKUP_DIR"],
    ["restore /mnt/usb/dump.sql.zst", "restore a file from anywhere, also one made by pg_dump or mysqldump"],
    ["restore --from-s3", "fetch the newest backup of the database from S3 and restore it"],
    ["restore --no-owner", "restore on a server that lacks the roles or accounts"],
    ["restore --swap", "PostgreSQL: into a new database, which then takes the place of the present one"],
    ["restore --dry-run", "check the backup and compare it with the database; change nothing"],
  ],
  options: (yargs: Argv) =>
    yargs
      .positional("file", {
        type: "string",
        describe: "Name of a backup in BACKUP_DIR (in S3: or its location s3://...), or a path",
      })
      .check(({ file, fromS3, noSafetyBackup, keepSafetyBackup, unsigned }) => {
        if (noSafetyBackup && keepSafetyBackup)
          throw new Error("--keep-safety-backup and --no-safety-backup contradict each other");
        if (unsigned && file === undefined)
          throw new Error("--unsigned: name the backup that is to be restored unsigned");
        if (file?.startsWith("s3://") && !fromS3) throw new Error(`${file} lies in S3: add --from-s3`);
        return true;
      })
      .option("from-s3", { type: "boolean", default: false, describe: "Fetch the backup from S3" })
      .option("no-owner", {
        type: "boolean",
        default: false,
        describe: "Leave out ownership and privileges (MySQL, MariaDB: definers)",
      })
      .option("swap", {
        type: "boolean",
        default: false,
        describe:
          "PostgreSQL: load into a new database, over several connections, then exchange the two by name; the present one serves " +
          "its users meanwhile, and stays as NAME_before_TIME",
      })
      .option("no-safety-backup", {
        type: "boolean",
        default: false,
        describe: "MySQL, MariaDB: do not back up the present state first",
      })
      .option("keep-safety-backup", {
        type: "boolean",
        default: false,
        describe: "MySQL, MariaDB: keep that backup also when the restore succeeds",
      })
      .option("unsigned", {
        type: "boolean",
        default: false,
        describe: "Restore the named FILE although MANIFEST_KEY is set and it is not signed with it",
      })
      .option("yes", { alias: "y", type: "boolean", default: false, describe: "Do not ask" })
      .option("dry-run", { type: "boolean", default: false, describe: "Check everything, change nothing" }),
  needs: ({ fromS3 }) => (fromS3 ? ["database", "storage"] : ["database"]),
  reports: ({ dryRun }) => !dryRun,

  async act(job) {
    const { options, settings, log, signal } = job;
    const database = openDatabase(settings, job);
    nameDatabase(job, database);
    const folder = backupFolder(job);
    if (options.swap && !database.atomicLoad)
      throw usageFailure("--swap: MySQL and MariaDB cannot rename a database", "restore without --swap");
    if (options.dryRun) return { summary: "", output: await checkAll(restoreChecks(job, { database }, folder)) };
    using lock = await lockFolder(job, database, folder);
    if (lock) await inFolder(folder).sweep(database.name);

    const connected = await database.connect();
    const target: Target = { database, connected };
    await using copy = options.fromS3 ? await fetchBackup(job, target, folder) : undefined;
    await using file = await openChosen(job, target, folder, copy);
    Object.assign(job.facts, { file: file.name, bytes: file.bytes, ...(!copy && { localPath: file.path }) });
    const contents = await checkBackup(job, target, file);
    const plan = await planLoad(job, connected, file, contents);
    const replaced = describePlan(database, file, plan, options);

    if (isAnyoneThere() && !options.yes) await confirm(`${replaced}\n`, signal);
    else log.info(replaced);
    if (options.swap) return { summary: await swap(job, connected, file, contents, plan) };
    const safety = needsSafety(options, database, plan) ? await takeSafetyBackup(job) : undefined;
    await load(job, connected, file, contents, plan).catch((error: unknown) => {
      throw safety ? safety.explain(error) : error;
    });
    if (!options.keepSafetyBackup) await safety?.remove();
    const kept = options.keepSafetyBackup && safety ? `; its state before lies in ${safety.path}` : "";
    return { summary: `restore done: ${database.where} is as in ${file.name}${keptTables(plan)}${kept}` };
  },
};

/** What a dry run looks at. */
function restoreChecks(job: Job<Options>, target: Target, folder: string): Check[] {
  const { fromS3, noSafetyBackup } = job.options;
  const { database } = target;
  return [
    checkLogin(job, target),
    ...(database.atomicLoad || noSafetyBackup
      ? [checkFolderAndLock(database, folder)]
      : // what the safety backup needs
        [checkPrivileges(target), checkRoom(job, target, folder)]),
    {
      what: "backup",
      async look() {
        // BACKUP_DIR is not made for it
        const place = fromS3 ? (await lookAtFolder(folder)).nearest : folder;
        await using copy = fromS3 ? await fetchBackup(job, target, place) : undefined;
        await using file = await openChosen(job, target, folder, copy);
        const contents = await checkBackup(job, target, file);
        if (!target.connected) return `${file.name} is whole; not compared with the database`;
        const plan = await planLoad(job, target.connected, file, contents);
        return `${file.name} is whole; ${describePlan(database, file, plan, job.options)}`;
      },
    },
    ...checkNotices(job.settings),
  ];
}

/** The file that was asked for: the copy, the named one, or the newest of the folder. */
async function openChosen(job: Job<Options>, target: Target, folder: string, copy?: Copy) {
  const { options, facts } = job;
  const opening = { keys: keysFrom(job), unsigned: options.unsigned };
  if (!copy) return openBackup(await findLocal(job, target, folder, options.file), opening);
  const { path, name, manifest } = copy;
  try {
    return await openBackup(path, { ...opening, origin: { name, manifest } });
  } catch (error) {
    throw tellOrigin(error, path, facts);
  }
}

/** Of a damaged copy from S3 a person knows where it comes from, not where it lies for a while; an error of the disk is about that. */
function tellOrigin(error: unknown, path: string, { remoteLocation }: Job["facts"]): unknown {
  if (remoteLocation === undefined || !(error instanceof Failure) || codeOf(error.cause) !== undefined) return error;
  const { message, status, hints, cause } = error;
  return new Failure(message.replaceAll(path, remoteLocation), { status, hints, cause });
}

/**
 * The lock. A folder that can only be read (a disk mounted read-only), or that has no room for a lock file, is restored
 * from without it: no backup is made there.
 */
async function lockFolder({ log, script }: Job, database: Database, folder: string): Promise<Disposable | undefined> {
  if (await isReadOnly(folder)) {
    await checkFolder(folder);
    log.warn(`${folder} cannot be written to: restoring without the lock that keeps two runs apart`);
    return undefined;
  }
  await prepareFolder(folder);
  try {
    return takeLock(folder, lockName(database), script);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    log.warn(`${messageOf(error)}; restoring without the lock that keeps two runs apart`);
    return undefined;
  }
}

/** Whether BACKUP_DIR is good enough to restore from: what `lockFolder` needs, changing nothing. */
const checkFolderAndLock = (database: Database, folder: string): Check => ({
  what: `folder ${folder}`,
  async look() {
    if (await isReadOnly(folder)) {
      await checkFolder(folder);
      return "can be read";
    }
    const { exists, nearest } = await lookAtFolder(folder);
    tryLock(folder, lockName(database));
    return exists ? "writable" : `can be created in ${nearest}`;
  },
});

interface Copy {
  name: string;
  path: string;
  manifest: Manifest | undefined;
}

/** The backup in S3 as a copy in `folder` that goes when it is disposed of. */
async function fetchBackup(job: Job<Options>, target: Target, folder: string): Promise<Copy & AsyncDisposable> {
  const { log, options } = job;
  const { place, backup } = await findRemote(job, target, options.file);
  const { name } = backup;
  job.facts.remoteLocation = place.locate(name);
  const keys = keysFrom(job);
  const manifest = backup.committed ? await place.manifest(name, keys.manifestKeys) : undefined;
  if (!options.unsigned) requireSigned(name, manifest, keys);
  if (manifest && manifest.bytes !== backup.bytes)
    throw new Failure(
      `${job.facts.remoteLocation} is damaged: it has ${backup.bytes} bytes, its manifest says ${manifest.bytes}`,
      { hints: ["nothing was fetched; restore another backup"] },
    );
  log.info(`fetching ${job.facts.remoteLocation}, ${bytesText(backup.bytes)}`);
  const progress = showProgress("fetch", backup.bytes);
  try {
    const bytes = watched(place.read(name, backup.bytes), (block) => progress.add(block.byteLength));
    return { name, manifest, ...(await spool(folder, spoolName(name, target.database), bytes)) };
  } finally {
    progress.stop();
  }
}

/** Among our own partial files, whatever database it is of: our lock guards it, and our next run sweeps it. */
function spoolName(name: string, database: Database): string {
  const backup = parseBackupName(name);
  return backup ? formatBackupName({ ...backup, database: database.name }) : name;
}

/** First reading: nothing has been touched, and nothing will be unless the whole file is good. */
async function checkBackup(job: Job, target: Target, file: OpenBackup): Promise<Contents> {
  const { log, facts } = job;
  const { database } = target;
  const { manifest } = file;
  log.info(`checking ${facts.remoteLocation ?? file.path}, ${bytesText(file.bytes)}`);
  if (!manifest) log.warn(`${file.name} has no manifest: its checksum and its origin cannot be checked`);
  warnOfOwner(job, target, file.name, manifest);
  if (manifest && !database.takes.includes(manifest.engine)) {
    throw new Failure(`${file.name} is a backup of ${manifest.engine}, not of ${database.engine}`, {
      hints: ["name a backup of this database, or set DATABASE_URL to the other one"],
    });
  }
  if (manifest && manifest.database !== database.name) {
    log.warn(`${file.name} is a backup of the database ${manifest.database}; it goes into ${database.name}`);
  }
  if (manifest && manifest.dumpOptions.length > 0) {
    log.warn(`${file.name} was made with ${manifest.dumpOptions.map(quote).join(" ")}: it may not hold everything`);
  }
  const progress = showProgress("check", file.bytes);
  try {
    const contents = await readDump(database.reader(), file.sql(progress.add));
    progress.stop();
    log.info(`${file.name} is whole: ${counted(contents.tables.length, "table")}, ${bytesText(contents.bytes)} of SQL`);
    return contents;
  } catch (error) {
    throw tellOrigin(error, file.path, facts);
  } finally {
    progress.stop();
  }
}

/** A file in BACKUP_DIR is trusted: only users whom the program trusts can write there. */
function loadOptions(job: Job<Options>, file: OpenBackup): LoadOptions {
  const { noOwner, swap, fromS3 } = job.options;
  return { noOwner, swap, trusted: !fromS3 && dirname(resolve(file.path)) === backupFolder(job) };
}

/** Throws a `Failure` when the load would fail or do harm. */
async function planLoad(job: Job<Options>, database: Connected, file: OpenBackup, contents: Contents) {
  const plan = await database.plan(contents, loadOptions(job, file));
  for (const warning of plan.warnings) job.log.warn(warning);
  if (plan.problems.length > 0) throw cannotLoad(database, plan);
  return plan;
}

const cannotLoad = (database: Pick<Database, "where">, plan: LoadPlan) =>
  new Failure(`${database.where} cannot take this backup, nothing was changed:\n${plan.problems.join("\n")}`, {
    hints: ["fix what is listed, then restore again"],
  });

/** A load that cannot be taken back gets a safety backup, unless there is nothing to lose. */
const needsSafety = ({ noSafetyBackup }: Options, { atomicLoad }: Database, { replaces, drops }: LoadPlan): boolean =>
  !atomicLoad && !noSafetyBackup && replaces.length + drops.length > 0;

function describePlan(
  database: Database,
  file: OpenBackup,
  { replaces, keeps, drops }: LoadPlan,
  { swap }: Options,
): string {
  const made = file.manifest ? ` of ${file.manifest.startedAt}` : "";
  const restoring = `restore of ${database.where} from ${file.name}${made}: `;
  if (swap)
    return (
      `${restoring}a new database takes the place of the present one, which stays under another name` +
      (keeps.length > 0 ? `; not in the backup, and only there then: ${keeps.join(", ")}` : "")
    );
  return (
    restoring +
    (replaces.length > 0 ? `replaces ${counted(replaces.length, "table")}` : "nothing is there to be replaced") +
    (keeps.length > 0 ? `; ${counted(keeps.length, "table")} not in the backup will stay` : "") +
    (drops.length > 0 ? `; removes what is not in the backup: ${drops.join(", ")}` : "")
  );
}

/** Loads into a new database, which then takes the place of the present one; says how it ended. */
async function swap(
  job: Job<Options>,
  database: Connected,
  file: OpenBackup,
  contents: Contents,
  plan: LoadPlan,
): Promise<string> {
  await using scratch = await database.createScratch?.();
  if (!scratch) throw new Error("the engine has no createScratch");
  await load(job, { atomicLoad: true, load: (sql, how, words) => scratch.load(sql, how, words) }, file, contents, plan);
  const before = await scratch.exchange();
  return (
    `restore done: ${database.where} is as in ${file.name}; as it was before, it is the database ${before}: ` +
    `drop that when you no longer need it`
  );
}

async function load(
  job: Job<Options>,
  database: Pick<Connected, "atomicLoad" | "load">,
  file: OpenBackup,
  contents: Contents,
  plan: LoadPlan,
): Promise<void> {
  const started = Date.now();
  const progress = showProgress("restore", file.bytes);
  try {
    await database.load(file.sql(progress.add), plan, loadOptions(job, file));
  } catch (error) {
    progress.stop();
    if (error instanceof Stopped)
      job.log.warn(`the database is ${database.atomicLoad ? "as it was before the restore" : "half restored"}`);
    throw error;
  } finally {
    progress.stop();
  }
  job.log.info(`${counted(contents.tables.length, "table")} loaded in ${durationText(Date.now() - started)}`);
}

const keptTables = ({ keeps }: LoadPlan): string =>
  keeps.length === 0 ? "" : `; these tables were not in the backup and stay as they were: ${keeps.join(", ")}`;
