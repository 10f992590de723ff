/** `sync` with the AWS CLI, for those who want it: the same rules, as its filters. */
import { variables } from "../base/environment.ts";
import { liesAhead } from "../base/clock.ts";
import { exitStatus, Failure } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { shell } from "../base/process.ts";
import type { Settings } from "../settings/settings.ts";
import type { Named } from "./plan.ts";

interface LocalFile {
  name: string;
  named: Named;
}

const digits = (count: number) => "[0-9]".repeat(count);
const anyDay = `${digits(4)}-${digits(2)}-${digits(2)}`;
const anyClock = `${digits(2)}-${digits(2)}-${digits(2)}`;
const endings = ["", "-[1-9]", "-[1-9][0-9]"].flatMap((sequence) =>
  [".sql", ".sql.gz", ".sql.zst"]
    .flatMap((extension) => [extension, `${extension}.age`])
    .flatMap((extension) => [
      `${sequence}${extension}`,
      `${sequence}${extension}.json`,
      `${sequence}${extension}.proof.json`,
    ]),
);

/**
 * Filters (the last one that matches a name counts) that keep both sides of `aws s3 sync` to the backups and manifests of
 * databases that have local backups. With `--delete` they keep the delete rule of `planSync` too, without a listing that
 * could be out of date: nothing from the day of a database's newest local backup or later goes, but what is local. Of
 * `damaged` backups neither the file nor the manifest is sent.
 */
export function syncFilters(
  local: readonly LocalFile[],
  mayDelete: boolean,
  damaged: ReadonlySet<string> = new Set(),
): string[] {
  const byDatabase = Map.groupBy(local, ({ named }) => stem(named));
  const filters = [...byDatabase].flatMap(([database, files]) => [
    ...endings.map((ending) => ["--include", `${database}_${anyDay}_${anyClock}${ending}`]),
    ...(mayDelete ? guards(database, files) : []),
  ]);
  const skipped = local.filter(({ named }) => damaged.has(named.backup)).map(({ name }) => ["--exclude", name]);
  return [["--exclude", "*"], ...filters, ...skipped, ["--exclude", "*/*"]].flat();
}

/** The database as it stands in its files' names. */
const stem = ({ backup }: Named) => backup.replace(/_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d(-\d+)?\.sql(\.\w+){0,2}$/, "");

function guards(database: string, files: readonly LocalFile[]): string[][] {
  const times = files
    .filter(({ named }) => !liesAhead(named.time, new Date()))
    .map(({ named }) => named.time.getTime());
  // without any, nothing is outdated
  const newest = new Date(Math.max(0, ...times)).toISOString().slice(0, 10);
  const names = new Set(files.map(({ name }) => name));
  const missing = files.flatMap(({ name, named }) =>
    name === named.backup
      ? [".json", ".proof.json"].map((ending) => name + ending).filter((beside) => !names.has(beside))
      : [],
  );
  return [
    ...fromDayOn(newest).map((day) => ["--exclude", `${database}_${day}_*`]),
    ...files.filter(({ named }) => named.time.toISOString() >= newest).map(({ name }) => ["--include", name]),
    // the backup is still here, only its manifest or its proof is not
    ...missing.map((name) => ["--exclude", name]),
  ];
}

/** Patterns for this day (YYYY-MM-DD) and all later ones: the same beginning, a larger digit, anything. */
export function fromDayOn(day: string): string[] {
  const later = Array.from(day).flatMap((digit, i) =>
    /[0-8]/.test(digit) ? [`${day.slice(0, i)}[${Number(digit) + 1}-9]${day.slice(i + 1).replace(/\d/g, "?")}`] : [],
  );
  return [day, ...later];
}

/** The words behind `aws`; with `damaged` backups nothing is deleted, and what is `foreign` in S3 never. */
export function syncArguments(
  folder: string,
  local: readonly LocalFile[],
  settings: Settings,
  { dryRun, damaged, foreign = [] }: { dryRun: boolean; damaged: ReadonlySet<string>; foreign?: readonly string[] },
): string[] {
  const target = `s3://${settings.S3_BUCKET}/${settings.S3_PATH}`;
  // the CLI reads them as patterns, and would silently match nothing
  for (const path of [folder, target])
    if (/[*?[]/.test(path))
      throw new Failure(`the AWS CLI cannot sync ${path}: *, ? and [ mean something else to it`, {
        status: exitStatus.usage,
        hints: ["set SYNC_CLIENT=sdk"],
      });
  const mayDelete = settings.REMOTE_S3_DELETE && local.length > 0 && damaged.size === 0;
  return [
    "s3",
    "sync",
    folder,
    target,
    "--size-only",
    "--no-progress",
    "--no-follow-symlinks",
    ...(settings.S3_URL ? ["--endpoint-url", settings.S3_URL] : []),
    ...(settings.S3_STORAGE_CLASS ? ["--storage-class", settings.S3_STORAGE_CLASS] : []),
    ...syncFilters(local, mayDelete, damaged),
    ...(mayDelete ? foreign.flatMap((name) => ["--exclude", name]) : []),
    ...(mayDelete ? ["--delete"] : []),
    ...(dryRun ? ["--dryrun"] : []),
  ];
}

/** The CLI's environment: its own variables, and our credentials where we have some. */
export function cliEnvironment(settings: Settings): Record<string, string> {
  const { S3_ACCESS_KEY, S3_SECRET_KEY, S3_SESSION_TOKEN } = settings;
  return {
    ...variables((name) => /^(?:AWS_|PYTHON|VIRTUAL_ENV$|REQUESTS_CA_BUNDLE$)/.test(name)),
    ...(S3_ACCESS_KEY !== undefined && S3_SECRET_KEY !== undefined
      ? {
          AWS_ACCESS_KEY_ID: S3_ACCESS_KEY,
          AWS_SECRET_ACCESS_KEY: S3_SECRET_KEY,
          AWS_SESSION_TOKEN: S3_SESSION_TOKEN ?? "",
        }
      : {}),
    AWS_REGION: settings.S3_REGION,
    AWS_DEFAULT_REGION: settings.S3_REGION,
    AWS_PAGER: "",
    // else older Ceph and others refuse its uploads
    AWS_REQUEST_CHECKSUM_CALCULATION: "when_required",
    AWS_RESPONSE_CHECKSUM_VALIDATION: "when_required",
  };
}

/** Runs `aws s3 sync`; returns its lines ("upload: …", "delete: …"). Throws `Failure`, status 3 when there is no `aws`. */
export async function runAwsSync(
  args: readonly string[],
  settings: Settings,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<string[]> {
  if (!Bun.which("aws")) throw notInstalled();
  const $ = await shell(cliEnvironment(settings), signal);
  const { exitCode, stdout, stderr } = await $`aws ${args}`;
  signal.throwIfAborted();
  for (const line of stderr.split("\n").filter(Boolean)) log.warn(`aws: ${line}`);
  if (exitCode !== 0) throw new Failure(`aws s3 sync exited with ${exitCode}: ${lastLine(stderr)}`);
  return stdout.split("\n").filter(Boolean);
}

const lastLine = (text: string) => text.trim().split("\n").at(-1) ?? "";

const notInstalled = () =>
  new Failure("SYNC_CLIENT is aws-cli, but the AWS CLI (aws) is not installed or not on PATH", {
    status: exitStatus.missingProgram,
    hints: [
      "install it: apt-get install awscli, dnf install awscli2, brew install awscli, or https://aws.amazon.com/cli/",
      "or set SYNC_CLIENT=sdk, which needs nothing installed",
    ],
  });
