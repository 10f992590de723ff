/** Restores a server: the roles that are missing, then the newest backup of every database. */
import type { Identity } from "../archive/identity.ts";
import { serverRoles } from "../archive/name.ts";
import { requireSigned } from "../archive/manifest.ts";
import { hintsOf } from "../base/disk.ts";
import { Failure, messageOf, noSuchBackup } from "../base/errors.ts";
import { bytesText, counted, durationText } from "../base/text.ts";
import { openDatabase } from "../database/open.ts";
import { databaseRows, databaseTable } from "../notify/message.ts";
import { chooseNewest } from "../places/choose.ts";
import { findBackups, listBackups, manifestOf, newestGood, type Place, proofOf, type Stored } from "../places/place.ts";
import type { Job, Result } from "../run/script.ts";
import { chooseNames, parsePatterns } from "../settings/name-patterns.ts";
import { backupFolder, localPlace, lockFolder, remotePlace } from "./backup-folder.ts";
import { eachDatabase, inDatabase } from "./several-databases.ts";
import { identityOf } from "./identity.ts";
import { propertiesOf } from "./open-chosen.ts";
import { restoreCommand, type RestoreOptions } from "./options.ts";
import { restoreOne } from "./restore-one.ts";
import { type PlannedRoles, planRoles } from "./roles.ts";

interface ServerPlan {
  roles: PlannedRoles | undefined;
  /** What will be restored, and what holds data and is left as it is. */
  databases: string[];
  kept: string[];
  description: string;
  /** What to do about the databases whose backup cannot be chosen; undefined when there are none. The description says why. */
  hints: string[] | undefined;
}

/** What `restore --all` will do. Throws `Failure`. */
export async function planServer(job: Job<RestoreOptions>): Promise<ServerPlan> {
  const { options, settings } = job;
  const connected = await openDatabase(settings, job).connect({ mayBeMissing: true });
  job.facts.server = connected.where;
  const place = options.fromS3 ? await remotePlace(job) : localPlace(job);
  const files = await place.list();
  const all = findBackups(files);
  const wanted = await wantedOf(place, all, settings.DB_NAMES ?? "*");
  const present = new Set((await connected.databases()).map(({ name }) => name));
  const full: string[] = [];
  for (const name of wanted.filter((one) => present.has(one))) if (await holdsData(job, name)) full.push(name);
  const kept = options.replace ? [] : full;
  const databases = wanted.filter((name) => !kept.includes(name));
  const hasRoles = all.some(({ backup }) => backup.database === serverRoles);
  const roles = hasRoles ? await planRoles(job, connected) : undefined;
  const noRoles = hasRoles
    ? "the server's roles are not restored, the warning says why"
    : "there is no backup of the server's roles";
  const listed = { ...place, list: async () => files };
  const us = identityOf(settings, connected);
  const describe = (database: string) =>
    describeOne(job, listed, { database, present: us, isNew: async () => !full.includes(database) });
  const lines = await Promise.all(databases.map(describe));
  const description = [
    `restore of ${counted(databases.length, "database")} into the server of ${connected.where} from ${place.where}:`,
    roles?.description ?? noRoles,
    ...lines.map(({ chosen, text }, at) =>
      chosen && full.includes(databases[at] ?? "") ? `${text}; ${exchanged(databases[at] ?? "", options)}` : text,
    ),
    ...(await Promise.all(
      kept.map(async (name) => `${name}: holds data and stays as it is; ${wayIn(job, name, await describe(name))}`),
    )),
    ...estimate(lines.map(({ restoreMs }) => restoreMs)),
  ].join("\n");
  const hints = [...new Set(lines.flatMap((line) => line.hints ?? []))];
  return { roles, databases, kept, description, hints: lines.every(({ chosen }) => chosen) ? undefined : hints };
}

/** The databases that have backups and match the patterns. Throws a `Failure` when there are none. */
async function wantedOf(place: Place, backups: readonly Stored[], patterns: string): Promise<string[]> {
  const names = new Set(backups.map(({ backup }) => backup.database).filter((name) => name !== serverRoles));
  const wanted = chooseNames(parsePatterns(patterns), [...names].toSorted()).map(({ name }) => name);
  if (wanted.length > 0) return wanted;
  throw noSuchBackup(
    `no backups are available in ${place.where}`,
    ...(await place.elsewhere()),
    "check S3_BUCKET and S3_PATH, or BACKUP_DIR; add --from-s3 when the backups lie in S3",
  );
}

/** How a database that holds data is replaced by its backup. */
function wayIn(
  job: Job<RestoreOptions>,
  name: string,
  { chosen, text, hints = [] }: Awaited<ReturnType<typeof describeOne>>,
): string {
  if (!chosen) return [text.slice(name.length + 2), ...hints].join("; ");
  const from = job.options.fromS3 ? ["--from-s3"] : [];
  return `to replace it: --replace, or ${restoreCommand(job, [...from, "--database", name])}`;
}

/** What becomes of a database that holds data, with `--replace`. */
function exchanged(name: string, { dropBefore, inPlace }: RestoreOptions): string {
  if (inPlace) return "replaces what the database holds, which is backed up first";
  return `replaces the present database, which is ${dropBefore ? "then dropped" : `kept as ${name}_before_TIME`}`;
}

/** Whether a database holds data; with `mend`, when what a killed restore has left of it is finished, taken back or swept. */
async function holdsData(job: Job, name: string, { mend = false } = {}): Promise<boolean> {
  const one = inDatabase(job, name);
  const database = openDatabase(one.settings, job);
  using folderLock = mend ? await lockFolder(one, database, backupFolder(job)) : undefined;
  if (folderLock) await localPlace(job).sweep(name);
  const connected = await database.connect();
  await using _lock = mend ? await connected.lock("restore") : undefined;
  return !(await connected.target()).empty;
}

/** The backup that will be chosen, or why there is none, with the time that the last proof took. */
async function describeOne(
  job: Job<RestoreOptions>,
  place: Place,
  wanted: { database: string; present: Identity; isNew: () => Promise<boolean> },
) {
  const { database } = wanted;
  const { before, unsigned } = job.options;
  const keys = job.settings.MANIFEST_KEY;
  try {
    const chosen = await chooseNewest(place, { ...wanted, before, keys });
    const { name, backup } = chosen;
    const manifest = keys || backup.encrypted ? await manifestOf(place, name, keys) : undefined;
    if (!unsigned) requireSigned(name, manifest, keys);
    // they are encrypted to the keys of the backup
    await propertiesOf(job, { name, manifest }, { roles: true });
    const proved = newestGood((await listBackups(place, database)).filter((one) => one.proved));
    const proof = proved && (await proofOf(place, proved.name, keys).catch(() => undefined));
    const note = proof && proved.name === name ? `, proved on ${proof.provedAt.slice(0, 10)}` : "";
    const doubt = chosen.suspicious ? `, suspicious: see list ${name}` : "";
    const text = `${database}: ${name}, ${bytesText(chosen.bytes)}${note}${doubt}`;
    return { chosen, restoreMs: proof?.restoreMs, text };
  } catch (error) {
    return { text: `${database}: ${messageOf(error)}`, hints: hintsOf(error) };
  }
}

function estimate(times: readonly (number | undefined)[]): string[] {
  const known = times.filter((time) => time !== undefined);
  if (times.length === 0) return [];
  if (known.length === 0) return ["how long it takes is not known: none of these databases was proved (verify)"];
  const rest = times.length - known.length;
  const more = rest > 0 ? `, and ${counted(rest, "database")} without a proof` : "";
  return [
    `according to the last proofs it takes about ${durationText(known.reduce((sum, time) => sum + time, 0))}${more}`,
  ];
}

const nothingToDo = { summary: "restore done: nothing to restore, every database holds data" };

/** Carries the plan out. One that fails does not stop the others and is tried again at the end. Throws `Failure`. */
export async function restoreServer(job: Job<RestoreOptions>, { roles, databases, kept }: ServerPlan): Promise<Result> {
  for (const refused of (await roles?.plan.create()) ?? []) job.warn(`not restored: ${refused}`);
  const emptied: string[] = [];
  for (const name of kept) {
    const isFull = await holdsData(job, name, { mend: true }).catch((error: unknown) => {
      job.signal.throwIfAborted();
      job.warn(`cannot look for what an earlier restore of ${name} has left: ${messageOf(error)}`);
      return true;
    });
    if (isFull) job.warn(`${name} holds data and was left as it is`);
    else emptied.push(name);
  }
  const chosen = [...databases, ...emptied].map((name) => ({ name, named: true }));
  const tell = async (description: string) => job.log.info(description);
  const table = () => {
    const rows = databaseRows(job.facts.databases ?? [], new Date(), "UTC");
    return rows.length > 0 ? { output: databaseTable(rows) } : {};
  };
  const restore = async (one: Job<RestoreOptions>) => ({ summary: await restoreOne(one, tell) });
  // a view over a view needs the rights of the inner one's definer; what is refused here is granted behind the databases
  const waiting = [...(roles?.plan.missing ?? []), ...(roles?.plan.unfinished ?? [])].length > 0;
  const grant = async () => waiting && (await roles?.plan.grant()) !== undefined;
  const result = await eachDatabase(job, chosen, restore, grant).catch((error: unknown) => {
    job.signal.throwIfAborted();
    return error;
  });
  for (const refused of (await roles?.plan.grant()) ?? []) job.warn(`not restored: ${refused}`);
  const { summary } = chosen.length > 0 ? (result as Result) : nothingToDo;
  if (!(result instanceof Error)) {
    await roles?.plan.finish();
    return { summary, ...table() };
  }
  const { hints = [] } = result instanceof Failure ? result : {};
  throw new Failure(messageOf(result), { hints, ...table(), cause: result });
}
