/** A run of `backup`, by hand or scheduled, of one database or of several: lock, sweep, take the backup, retention. */
import { Failure, messageOf } from "../base/errors.ts";
import { takeLock } from "../base/lock.ts";
import { bytesText } from "../base/text.ts";
import { openDatabase } from "../database/open.ts";
import { prepareFolder } from "../places/folder.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import type { Job, Result } from "../run/script.ts";
import { backupFolder, databaseOf, localPlace, lockName, remotePlace } from "./backup-folder.ts";
import {
  checkEncryption,
  checkExposure,
  checkLogin,
  checkNotices,
  checkPrivileges,
  checkRoom,
  checkStorage,
} from "./dry-run-checks.ts";
import type { BackupOptions } from "./options.ts";
import { checkRetention, type Places, pruneAll } from "./prune.ts";
import { backUpRoles, wantsRoles } from "./roles.ts";
import {
  chooseDatabases,
  type ChosenDatabase,
  eachDatabase,
  inDatabase,
  targetsOf,
  Unreachable,
} from "./several-databases.ts";
import { takeBackup } from "./take-backup.ts";
import type { Connected, Database } from "../database/database.ts";

/** Takes a backup of each database, or with `dryRun` checks all that they need; returns where they lie. Throws `Failure`. */
export async function runBackup(job: Job<BackupOptions>): Promise<Result> {
  if (job.options.dryRun) return { summary: "", output: await checkAll(await backupChecks(job)) };
  const folder = backupFolder(job);
  await prepareFolder(folder);
  const chosen = await chooseDatabases(job, job.options.database, folder);
  if (chosen) job.facts.server = openDatabase(job.settings, job).where;
  try {
    using logins = new LoginsAhead(job, chosen ?? []);
    const act = (one: typeof job) => backUp(one, logins);
    return await (chosen ? eachDatabase(job, chosen, act) : act(job));
  } finally {
    if (wantsRoles(job) && !job.options.database && !job.signal.aborted) await backUpRoles(job, () => openPlaces(job));
  }
}

const openPlaces = async (job: Job<BackupOptions>): Promise<Places> => ({
  local: localPlace(job),
  remote: job.options.upload ? await remotePlace(job) : undefined,
});

/** Takes a backup of the database that the settings name. */
async function backUp(job: Job<BackupOptions>, logins: LoginsAhead): Promise<Result> {
  const database = databaseOf(job);
  using _lock = takeLock(backupFolder(job), lockName(database), job.script);
  const places = await openPlaces(job);
  for (const place of [places.local, places.remote]) await place?.sweep(database.name);
  const connected = await logins.connect(database).catch((error: unknown) => {
    if (error instanceof Failure && !job.signal.aborted) throw new Unreachable(messageOf(error), error);
    throw error;
  });
  const where = await takeBackup(job, connected, places, job.options.accept);
  await pruneAll(job, connected, places);
  return { summary: summaryOf(job), output: where };
}

/** What a dry run looks at. */
export async function backupChecks(job: Job<BackupOptions>): Promise<Check[]> {
  const { settings, options } = job;
  const folder = backupFolder(job);
  const { targets, refused } = await targetsOf(job, options.database);
  return [
    ...refused,
    ...targets.flatMap(({ one, target }) => [
      checkLogin(one, target),
      checkPrivileges(target),
      checkRoom(one, target, folder),
    ]),
    ...(settings.AGE_RECIPIENTS ? [checkEncryption(job, settings.AGE_RECIPIENTS)] : []),
    ...(options.upload ? [checkStorage(job), checkExposure(job)] : []),
    ...targets.flatMap(({ one, target }) => checkRetention(one, target, options)),
    ...checkNotices(settings),
  ];
}

const summaryOf = ({ facts }: Job): string =>
  `backup done: ${[facts.localPath, facts.remoteLocation].filter(Boolean).join(" and ")}, ${bytesText(facts.bytes ?? 0)}`;

/** How old (ms) an answer of the server can be; an older one is asked for again. */
const fresh = 5_000;

interface Ahead {
  name: string;
  at: number;
  /** Undefined when the login failed. */
  connected: Promise<Connected | undefined>;
}

/** The login to the next database of a run, while the present one is dumped: for a small one it takes a quarter of the time. */
class LoginsAhead implements Disposable {
  readonly #job: Job;
  readonly #chosen: readonly ChosenDatabase[];
  readonly #stop = new AbortController();
  #ahead: Ahead | undefined;

  /** `chosen`: the databases in the order of the run. */
  constructor(job: Job, chosen: readonly ChosenDatabase[]) {
    this.#job = job;
    this.#chosen = chosen;
  }

  /** Returns the login to this database, made ahead or now, and begins the login to the next one. A login that failed ahead is tried again. Throws `Failure`. */
  async connect(database: Database): Promise<Connected> {
    const ahead = this.#ahead;
    const isFresh = ahead?.name === database.name && Date.now() - ahead.at < fresh;
    const connected = (isFresh && (await ahead.connected)) || (await database.connect());
    this.#ahead = connected.server.takesTwoSessions ? this.#begin(database.name) : undefined;
    return connected;
  }

  #begin(after: string): Ahead | undefined {
    const next = this.#chosen[this.#chosen.findIndex(({ name }) => name === after) + 1];
    if (!next || next.refuses !== undefined) return undefined;
    const { name } = next;
    const { settings, log, signal } = inDatabase(this.#job, name);
    const database = openDatabase(settings, { log, signal: AbortSignal.any([signal, this.#stop.signal]) });
    return { name, at: Date.now(), connected: database.connect({ once: true }).catch(() => undefined) };
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}
