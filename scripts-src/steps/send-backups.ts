/** sync: plans, uploads what is missing in S3, checks sizes, deletes what the delete rule allows. */
import { existsSync } from "node:fs";
import { parseBackupName } from "../archive/name.ts";
import { bytesText, counted, durationText } from "../base/text.ts";
import { Failure } from "../base/errors.ts";
import { showProgress } from "../base/progress.ts";
import { staleAge } from "../places/bucket.ts";
import type { Job, Result } from "../run/script.ts";
import { requireAwsCli, runAwsSync } from "../storage/aws-cli.ts";
import type { Storage } from "../storage/connect.ts";
import { openStorage } from "../storage/open.ts";
import { together } from "../storage/together.ts";
import { completeOrFail, listLocal, listRemote, type LocalFile, type Plan, planFor } from "./plan-sync.ts";

/** Brings S3 up to date with `folder`. Throws `Failure`. */
export async function sendBackups(job: Job, folder: string): Promise<Result> {
  const { settings, log, facts } = job;
  const started = Date.now();
  const { storage, plan } = await planWith(job, folder, listLocal(folder));
  facts.remoteLocation = storage.location("");
  if (plan.uploads.length + plan.present.length === 0) log.warn(`there is no backup in ${folder}`);

  const client = settings.SYNC_CLIENT === "aws-cli" ? byCli(job, folder) : bySdk(job, folder, storage);
  const uploads = await client.upload(plan.uploads);
  await checkSizes(storage, uploads);
  if (uploads.length > 0) await sweepUploads(storage, uploads);
  await client.remove(plan.deletes);
  if (settings.REMOTE_S3_DELETE) logKept(job, plan);
  const sent = bytesText(uploads.reduce((sum, { bytes }) => sum + bytes, 0));
  const counts = [
    `${counted(uploads.length, "file")} uploaded (${sent})`,
    `${plan.present.length} already there`,
    `${plan.deletes.length} deleted`,
  ];
  const done = `${counts.join(", ")}, ${durationText(Date.now() - started)}, ${storage.location("")}`;
  return { summary: completeOrFail(`sync done: ${done}`, plan.unfit) };
}

async function planWith(job: Job, folder: string, local: LocalFile[] | Promise<LocalFile[]>) {
  if (job.settings.SYNC_CLIENT === "aws-cli") requireAwsCli();
  const storage = await openStorage(job.settings, job);
  return { storage, plan: await planFor(job.settings, folder, storage, local) };
}

/** What `sendBackups` would do, for a dry run. Throws a `Failure` that says it too when a backup is left out. */
export async function describeSync(job: Job, folder: string, local: LocalFile[]): Promise<string> {
  const { storage, plan } = await planWith(job, folder, local);
  const uploads = plan.uploads.flat();
  const lines = [
    `${uploads.length} to upload, ${plan.present.length} already there, ${plan.deletes.length} to delete in ${storage.location("")}`,
    ...uploads.map(({ name, bytes }) => `    upload ${name} (${bytesText(bytes)})`),
    ...plan.deletes.map(({ name, bytes }) => `    delete ${name} (${bytesText(bytes)})`),
    ...plan.kept.filter(({ entry }) => entry.named).map(({ entry, why }) => `    keep ${entry.name}: ${why}`),
  ];
  return completeOrFail(lines.join("\n"), plan.unfit);
}

/** What carries the plan out. */
interface Client {
  /** Returns what was sent; a backup that retention has taken meanwhile is left out. */
  upload(backups: readonly LocalFile[][]): Promise<LocalFile[]>;
  remove(objects: readonly { name: string }[]): Promise<void>;
}

const byCli = (job: Job, folder: string): Client => ({
  async upload(backups) {
    const files = backups.flat();
    const isBackup = ({ name, named }: LocalFile) => name === named.backup;
    // the CLI sends in any order, and a manifest says that its backup is there
    await runAwsSync(folder, files.filter(isBackup), job);
    await runAwsSync(
      folder,
      files.filter((file) => !isBackup(file)),
      job,
    );
    return files.filter(({ path }) => existsSync(path));
  },
  remove: (objects) => runAwsSync(folder, objects, job, { deletes: true }),
});

const bySdk = ({ log }: Job, folder: string, storage: Storage): Client => ({
  async upload(backups) {
    const sent: LocalFile[] = [];
    const total = backups.flat().reduce((sum, { bytes }) => sum + bytes, 0);
    using progress = showProgress("sync", total);
    await together(backups, limits, async (files) => {
      for (const file of files) {
        if (!existsSync(file.path)) return log.info(`${file.path} was deleted meanwhile`);
        await storage.uploadFile(file.path, file.name, progress.add);
        log.info(`uploaded ${storage.location(file.name)}, ${bytesText(file.bytes)}`, { uploaded: file.name });
        sent.push(file);
      }
    });
    return sent;
  },
  async remove(objects) {
    for (const { name } of objects) {
      await storage.delete(name);
      log.info(`deleted ${storage.location(name)}: it no longer exists in ${folder} (REMOTE_S3_DELETE)`, {
        deleted: name,
      });
    }
  },
});

/** As many at once as fit in memory: a large file needs five parts, a small one itself. */
const limits = {
  atOnce: 32,
  budget: 48 * 1024 * 1024,
  cost: (files: readonly LocalFile[]) => Math.min(40 * 1024 * 1024, Math.max(...files.map(({ bytes }) => bytes))),
};

/** Lines of a log that name what stays; more only make it long. */
const keptLines = 10;

/** Files that no longer exist locally and are kept in S3 by the delete rule. */
function logKept({ log }: Job, plan: Plan): void {
  const kept = plan.kept.filter(({ entry }) => entry.named?.backup === entry.name);
  for (const { entry, why } of kept.slice(0, keptLines)) log.info(`keep ${entry.name}: ${why}`);
  if (kept.length > keptLines)
    log.info(`${counted(kept.length - keptLines, "more backup")} in S3 are kept for the same reason`);
}

/** Aborts uploads of these databases that a killed run left unfinished: their parts are billed for ever. */
async function sweepUploads(storage: Storage, sent: readonly LocalFile[]): Promise<void> {
  const ours = new Set(sent.map(({ named }) => named.database));
  await storage.sweepStaleUploads(staleAge, (name) => ours.has(parseBackupName(name)?.database ?? ""));
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
