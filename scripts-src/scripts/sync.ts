/** sync: bring S3 up to date with the local backups. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { Argv } from "yargs";
import { checkFolder, listBackups } from "../places/folder.ts";
import { damageOf } from "../archive/manifest.ts";
import { manifestName, parseBackupName } from "../archive/name.ts";
import { backupFolder } from "./backup.ts";
import { checkStorage } from "../steps/dry-run-checks.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import { bytesText, counted, durationText } from "../base/text.ts";
import { exitStatus, Failure } from "../base/errors.ts";
import { takeLock } from "../base/lock.ts";
import { checkNotices } from "../steps/check-notices.ts";
import { showProgress } from "../base/progress.ts";
import type { Job, Result, Script } from "../run/script.ts";
import type { Settings } from "../settings/settings.ts";
import { runAwsSync, syncArguments } from "../storage/aws-cli.ts";
import { type Entry, type Named, planSync, type SyncPlan } from "../storage/plan.ts";
import { openStorage, type RemoteObject, type Storage } from "../storage/storage.ts";
import { together } from "../storage/together.ts";

interface Options {
  dryRun: boolean;
}

type LocalFile = Entry & { named: Named; path: string };
type RemoteFile = Entry & RemoteObject;
/** Names of backups that are not to be sent, each with what speaks against it. */
type Damaged = ReadonlyMap<string, string>;
type Plan = SyncPlan<LocalFile, RemoteFile> & { damaged: Damaged };

export const sync: Script<Options> = {
  name: "sync",
  summary:
    "Uploads every local backup that is missing in S3 or differs in size, with its manifest. With REMOTE_S3_DELETE=true\n" +
    "it also deletes backups from S3 that are gone locally, but never anything else, and nothing that is not older than\n" +
    "the newest local backup of the same database.",
  usage: "[--dry-run]",
  examples: [
    ["sync", "send what is missing in S3"],
    ["sync --dry-run", "check folder, S3 and mail; print what would be uploaded and deleted; change nothing"],
    ["REMOTE_S3_DELETE=true sync", "also delete from S3 what is gone locally"],
  ],
  options: (yargs: Argv) =>
    yargs.option("dry-run", {
      type: "boolean",
      default: false,
      describe: "Check everything, print the plan, change nothing",
    }),
  needs: () => ["storage"],
  conflicts: (_, settings) =>
    settings.SYNC_CLIENT === "aws-cli" && settings.S3_URL && settings.S3_FORCE_PATH_STYLE === false
      ? ["S3_FORCE_PATH_STYLE is false: the AWS CLI cannot do that with S3_URL, set SYNC_CLIENT=sdk"]
      : [],
  reports: ({ dryRun }) => !dryRun,

  async act(job) {
    const folder = backupFolder(job);
    if (job.options.dryRun) return { summary: "", output: await checkAll(syncChecks(job, folder)) };
    await requireFolder(folder);
    // no database's lock has this name: theirs are percent-encoded
    using _lock = takeLock(folder, "%sync", job.script);
    // both with await: the lock is held until the end
    if (job.settings.SYNC_CLIENT === "aws-cli") return await syncByCli(job, folder, await listLocal(folder));
    return await syncBySdk(job, folder);
  },
};

/** What a dry run looks at; the last thing is what would be done. */
function syncChecks(job: Job<Options>, folder: string): Check[] {
  let local: LocalFile[] | undefined;
  return [
    {
      what: `folder ${folder}`,
      async look() {
        await requireFolder(folder);
        local = await listLocal(folder);
        return counted(new Set(local.map(({ named }) => named.backup)).size, "backup");
      },
    },
    checkStorage(job, { writes: true }),
    ...checkNotices(job.settings),
    {
      what: `plan (SYNC_CLIENT=${job.settings.SYNC_CLIENT}, REMOTE_S3_DELETE=${job.settings.REMOTE_S3_DELETE})`,
      look: async () => (local ? describeDeeds(job, folder, local) : { skipped: "none without the folder" }),
    },
  ];
}

async function describeDeeds(job: Job<Options>, folder: string, local: LocalFile[]): Promise<string> {
  const { settings } = job;
  if (settings.SYNC_CLIENT === "aws-cli") {
    const { lines, damaged } = await callCli(job, folder, local);
    return whole(["by the AWS CLI", ...lines].join("\n"), damaged);
  }
  const storage = await openStorage(settings, job);
  const plan = await makePlan(settings, folder, storage, local);
  return whole(describePlan(plan, storage), plan.damaged);
}

/** What there is to say when nothing was left out; otherwise a `Failure` that says it too. */
function whole(text: string, damaged: Damaged): string {
  if (damaged.size === 0) return text;
  const reasons = [...damaged.values()].join("\n");
  throw new Failure(`${counted(damaged.size, "damaged backup")} left out, nothing is deleted:\n${reasons}\n${text}`, {
    hints: [
      "what S3 holds of them stays as it is; remove a damaged file with its manifest, or put a good copy in its place",
    ],
  });
}

/** Sending those would replace what may be a good copy. */
async function findDamaged(folder: string, files: readonly LocalFile[]): Promise<Damaged> {
  const damaged = new Map<string, string>();
  for (const backup of new Set(files.map(({ named }) => named.backup))) {
    const why = await damageOf(join(folder, backup));
    if (why !== undefined) damaged.set(backup, why);
  }
  return damaged;
}

/** Lists both sides at once. Throws a `Failure` when nothing may be done. */
async function makePlan(
  settings: Settings,
  folder: string,
  storage: Storage,
  files: LocalFile[] | Promise<LocalFile[]>,
): Promise<Plan> {
  const [local, remote] = await Promise.all([files, listRemote(storage)]);
  const plan = planSync(local, remote, { mayDelete: settings.REMOTE_S3_DELETE });
  if (plan.refusal !== undefined) throw refusal(`${folder}: ${plan.refusal}`);
  // what is not sent matters too when something is to go: it may be what outdates that
  const concerned = plan.deletes.length > 0 ? local : plan.uploads.flat();
  const damaged = await findDamaged(folder, concerned);
  const uploads = plan.uploads.filter(([file]) => file && !damaged.has(file.named.backup));
  // a damaged backup is none that may outdate others
  return { ...plan, uploads, deletes: damaged.size > 0 ? [] : plan.deletes, damaged };
}

async function syncBySdk(job: Job<Options>, folder: string): Promise<Result> {
  const { settings, log, facts } = job;
  const started = Date.now();
  const storage = await openStorage(settings, job);
  facts.remoteLocation = storage.location("");
  const plan = await makePlan(settings, folder, storage, listLocal(folder));
  if (plan.uploads.length + plan.present.length === 0) log.warn(`there is no backup in ${folder}`);

  const uploads = await upload(job, storage, plan);
  await checkSizes(storage, uploads);
  if (uploads.length > 0) await sweepUploads(storage, uploads);
  for (const { name } of plan.deletes) {
    await storage.delete(name);
    log.info(`deleted ${storage.location(name)}: it is gone from ${folder} (REMOTE_S3_DELETE)`, { deleted: name });
  }
  if (settings.REMOTE_S3_DELETE) logKept(job, plan);
  const sent = bytesText(uploads.reduce((sum, { bytes }) => sum + bytes, 0));
  const counts = [
    `${counted(uploads.length, "file")} uploaded (${sent})`,
    `${plan.present.length} already there`,
    `${plan.deletes.length} deleted`,
  ];
  const done = `${counts.join(", ")}, ${durationText(Date.now() - started)}, ${storage.location("")}`;
  return { summary: whole(`sync done: ${done}`, plan.damaged) };
}

/** Lines of a log that name what stays; more only make it long. */
const keptLines = 10;

/** What is gone locally and stays in S3 by the delete rule. */
function logKept({ log }: Job, plan: Plan): void {
  const kept = plan.kept.filter(({ entry }) => entry.named?.backup === entry.name);
  for (const { entry, why } of kept.slice(0, keptLines)) log.info(`keep ${entry.name}: ${why}`);
  if (kept.length > keptLines) log.info(`keep ${counted(kept.length - keptLines, "more backup")} in S3 alike`);
}

/** Throws a `Failure` when there is no such folder, or it cannot be trusted. */
async function requireFolder(folder: string): Promise<void> {
  await checkFolder(folder);
  if (!existsSync(folder))
    throw new Failure(`there is no backup folder ${folder}`, {
      status: exitStatus.noSuchBackup,
      hints: ["check BACKUP_DIR; backup creates it"],
    });
}

/** The backups of the folder and their manifests. */
async function listLocal(folder: string): Promise<LocalFile[]> {
  const files = (await listBackups(folder)).map(async ({ name, bytes, path, committed, backup }) => {
    const named = { backup: name, database: backup.database, time: backup.time };
    const manifest = manifestName(path);
    return [
      { name, bytes, path, named },
      ...(committed ? [{ name: manifestName(name), bytes: (await stat(manifest)).size, path: manifest, named }] : []),
    ];
  });
  return (await Promise.all(files)).flat();
}

async function listRemote(storage: Storage): Promise<RemoteFile[]> {
  const objects = await Array.fromAsync(storage.list());
  return objects.map((object) => ({ ...object, named: nameOf(object.name) }));
}

/** What the name of a backup or of a manifest says. */
function nameOf(name: string): Named | undefined {
  const backup = parseBackupName(name) ? name : name.replace(/\.json$/, "");
  const parsed = parseBackupName(backup);
  return parsed && { backup, database: parsed.database, time: parsed.time };
}

/** As many at once as fit in memory: a large file needs five parts, a small one itself. */
const limits = {
  atOnce: 32,
  budget: 48 * 1024 * 1024,
  cost: (files: readonly LocalFile[]) => Math.min(40 * 1024 * 1024, Math.max(...files.map(({ bytes }) => bytes))),
};

/** Returns what was sent; a backup that retention has taken meanwhile is left out. */
async function upload({ log }: Job, storage: Storage, plan: Plan): Promise<LocalFile[]> {
  const sent: LocalFile[] = [];
  const progress = showProgress(
    "sync",
    plan.uploads.flat().reduce((sum, { bytes }) => sum + bytes, 0),
  );
  try {
    await together(plan.uploads, limits, async (files) => {
      for (const file of files) {
        if (!existsSync(file.path)) return log.info(`${file.path} is gone meanwhile`);
        await storage.uploadFile(file.path, file.name, { sent: progress.add });
        log.info(`uploaded ${storage.location(file.name)}, ${bytesText(file.bytes)}`, { uploaded: file.name });
        sent.push(file);
      }
    });
  } finally {
    progress.stop();
  }
  return sent;
}

const dayMs = 86_400_000;

/** Aborts uploads of these databases that a killed run left unfinished: their parts are billed for ever. */
async function sweepUploads(storage: Storage, sent: readonly LocalFile[]): Promise<void> {
  const ours = new Set(sent.map(({ named }) => named.database));
  await storage.sweepStaleUploads(dayMs, (name) => ours.has(parseBackupName(name)?.database ?? ""));
}

/** One listing compares the sizes of all that was sent; a server whose listings lag is asked for each. */
async function checkSizes(storage: Storage, sent: readonly LocalFile[]): Promise<void> {
  if (sent.length === 0) return;
  const listed = new Map((await listRemote(storage)).map(({ name, bytes }) => [name, bytes]));
  for (const { name, bytes } of sent) {
    if (listed.get(name) === bytes) continue;
    const there = (await storage.head(name))?.bytes;
    if (there !== bytes)
      throw new Failure(`${storage.location(name)} has ${there ?? "no"} bytes, but ${bytes} were sent`, {
        hints: ["run sync again"],
      });
  }
}

function describePlan(plan: Plan, storage: Storage): string {
  const uploads = plan.uploads.flat();
  return [
    `${uploads.length} to upload, ${plan.present.length} already there, ${plan.deletes.length} to delete in ${storage.location("")}`,
    ...uploads.map(({ name, bytes }) => `    upload ${name} (${bytesText(bytes)})`),
    ...plan.deletes.map(({ name, bytes }) => `    delete ${name} (${bytesText(bytes)})`),
    ...plan.kept.filter(({ entry }) => entry.named).map(({ entry, why }) => `    keep ${entry.name}: ${why}`),
  ].join("\n");
}

const refusal = (message: string) =>
  new Failure(message, { hints: ["check BACKUP_DIR; set REMOTE_S3_DELETE=false to sync without deleting"] });

async function syncByCli(job: Job<Options>, folder: string, local: LocalFile[]): Promise<Result> {
  const { settings, log, facts } = job;
  const started = Date.now();
  facts.remoteLocation = `s3://${settings.S3_BUCKET}/${settings.S3_PATH}`;
  const { lines, damaged } = await callCli(job, folder, local);
  for (const line of lines) log.info(line);
  const count = (word: string) => lines.filter((line) => line.startsWith(`${word}:`)).length;
  const counts = `${counted(count("upload"), "file")} uploaded, ${count("delete")} deleted`;
  const done = `${counts}, ${durationText(Date.now() - started)}, ${facts.remoteLocation}`;
  return { summary: whole(`sync done by the AWS CLI: ${done}`, damaged) };
}

/** What the AWS CLI did or, in a dry run, would do. */
async function callCli(
  job: Job<Options>,
  folder: string,
  local: LocalFile[],
): Promise<{ lines: string[]; damaged: Damaged }> {
  const { settings, options } = job;
  if (settings.REMOTE_S3_DELETE && local.length === 0)
    throw refusal(`there is no backup in ${folder}: what is in S3 is not deleted`);
  const damaged = await findDamaged(folder, local);
  const args = syncArguments(folder, local, settings, { ...options, damaged: new Set(damaged.keys()) });
  const lines = await runAwsSync(args, settings, job).catch((error: unknown) => explainCli(job, error));
  return { lines, damaged };
}

/** The AWS CLI's words are of little help (of Ceph's errors it makes a crash of its own): ask S3 ourselves what is wrong. */
async function explainCli(job: Job<Options>, error: unknown): Promise<never> {
  job.signal.throwIfAborted();
  if (!(error instanceof Failure) || error.status !== exitStatus.failed) throw error;
  const storage = await openStorage(job.settings, job);
  for await (const _ of storage.list()) break;
  throw error;
}
