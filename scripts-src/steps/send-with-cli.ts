/** sync with the AWS CLI. */
import { counted, durationText } from "../base/text.ts";
import { exitStatus, Failure } from "../base/errors.ts";
import type { Job, Result } from "../run/script.ts";
import { requireAwsCli, runAwsSync, syncCalls } from "../storage/aws-cli.ts";
import { openStorage } from "../storage/open.ts";
import { completeOrFail, type Unfit, findUnfit, listLocal, type LocalFile, refusal, planFor } from "./plan-sync.ts";

interface Options {
  dryRun: boolean;
}

/** Brings S3 up to date with `folder`. Throws `Failure`. */
export async function sendWithCli(job: Job<Options>, folder: string): Promise<Result> {
  const { settings, log, facts } = job;
  const started = Date.now();
  facts.remoteLocation = `s3://${settings.S3_BUCKET}/${settings.S3_PATH}`;
  const { lines, unfit } = await callCli(job, folder, await listLocal(folder));
  for (const line of lines) log.info(line);
  const count = (word: string) => lines.filter((line) => line.startsWith(`${word}:`)).length;
  const counts = `${counted(count("upload"), "file")} uploaded, ${count("delete")} deleted`;
  const done = `${counts}, ${durationText(Date.now() - started)}, ${facts.remoteLocation}`;
  return { summary: completeOrFail(`sync done with the AWS CLI: ${done}`, unfit) };
}

/** What the AWS CLI did or, in a dry run, would do. */
async function callCli(
  job: Job<Options>,
  folder: string,
  local: LocalFile[],
): Promise<{ lines: string[]; unfit: Unfit }> {
  const { settings, options } = job;
  requireAwsCli();
  if (settings.REMOTE_S3_DELETE && local.length === 0)
    throw refusal(`there is no backup in ${folder}: what is in S3 is not deleted`);
  // says where requests go, if that is neither AWS nor S3_URL
  if (settings.S3_URL === undefined) await openStorage(settings, job);
  const unfit = await findUnfit(folder, local);
  const mayDelete = settings.REMOTE_S3_DELETE && unfit.size === 0;
  const plan = mayDelete ? await planFor(settings, folder, await openStorage(settings, job), local) : undefined;
  const planned = {
    sent: local.filter(({ named }) => !unfit.has(named.backup)).map(({ name }) => name),
    deleted: plan?.deletes.map(({ name }) => name),
  };
  const lines: string[] = [];
  for (const args of syncCalls(folder, planned, settings, options.dryRun))
    lines.push(...(await runAwsSync(args, settings, job).catch((error: unknown) => explainCli(job, error))));
  return { lines, unfit };
}

/** The AWS CLI's words are of little help (of Ceph's errors it makes a crash of its own): ask S3 ourselves what is wrong. */
async function explainCli(job: Job<Options>, error: unknown): Promise<never> {
  job.signal.throwIfAborted();
  if (!(error instanceof Failure) || error.status !== exitStatus.failed) throw error;
  const storage = await openStorage(job.settings, job);
  for await (const _ of storage.list()) break;
  throw error;
}

/** What `sendWithCli` would do, for a dry run. Throws a `Failure` that says it too when a backup is left out. */
export async function planWithCli(job: Job<Options>, folder: string, local: LocalFile[]): Promise<string> {
  const { lines, unfit } = await callCli(job, folder, local);
  return completeOrFail(["with the AWS CLI", ...lines].join("\n"), unfit);
}
