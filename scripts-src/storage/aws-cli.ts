/** `sync` with the AWS CLI, for those who want it: it is given the names of the plan as filters. */
import { exitStatus, Failure, usageFailure } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { shell, variables } from "../base/process.ts";
import type { Settings } from "../settings/settings.ts";

/** Names in one call: the kernel limits the length of a command line. */
const namesAtOnce = 1_000;

/** The words behind `aws` of each call. Nothing but these names is looked at, on either side. Throws `Failure`, status 2. */
export function syncCalls(folder: string, names: readonly string[], settings: Settings, deletes = false): string[][] {
  const target = `s3://${settings.S3_BUCKET}/${settings.S3_PATH}`;
  // the CLI reads them as patterns, and would silently match nothing; a backup's name has none of these characters
  for (const path of [folder, target])
    if (/[*?[]/.test(path))
      throw usageFailure(
        `the AWS CLI cannot sync ${path}: *, ? and [ mean something else to it`,
        "set SYNC_CLIENT=sdk",
      );
  const words = [
    "s3",
    "sync",
    folder,
    target,
    "--size-only",
    "--no-progress",
    "--no-follow-symlinks",
    ...(settings.S3_URL ? ["--endpoint-url", settings.S3_URL] : []),
    ...(settings.S3_STORAGE_CLASS ? ["--storage-class", settings.S3_STORAGE_CLASS] : []),
    ...(deletes ? ["--delete"] : []),
  ];
  // the last filter that matches a name counts
  return Array.from({ length: Math.ceil(names.length / namesAtOnce) }, (_, at) => [
    ...words,
    "--exclude",
    "*",
    ...names.slice(at * namesAtOnce, (at + 1) * namesAtOnce).flatMap((name) => ["--include", name]),
  ]);
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

/** Throws a `Failure`, status 3, when there is no `aws`. */
export function requireAwsCli(): void {
  if (Bun.which("aws")) return;
  throw new Failure("SYNC_CLIENT is aws-cli, but the AWS CLI (aws) is not installed or not on PATH", {
    status: exitStatus.missingProgram,
    hints: [
      "install it: apt-get install awscli, dnf install awscli2, brew install awscli, or https://aws.amazon.com/cli/",
      "or set SYNC_CLIENT=sdk, which needs nothing installed",
    ],
  });
}

/** Sends these files of a folder, or with `deletes` deletes these objects; logs what the CLI says. Throws `Failure`. */
export async function runAwsSync(
  folder: string,
  files: readonly { name: string }[],
  { settings, log, signal }: { settings: Settings; log: Logger; signal: AbortSignal },
  { deletes = false } = {},
): Promise<void> {
  const names = files.map(({ name }) => name);
  for (const args of syncCalls(folder, names, settings, deletes)) {
    const $ = await shell(cliEnvironment(settings), signal);
    const { exitCode, stdout, stderr } = await $`aws ${args}`;
    signal.throwIfAborted();
    for (const line of stderr.split("\n").filter(Boolean)) log.warn(`aws: ${line}`);
    if (exitCode !== 0) throw new Failure(`aws s3 sync exited with ${exitCode}: ${stderr.trim().split("\n").at(-1)}`);
    for (const line of stdout.split("\n").filter(Boolean)) log.info(line);
  }
}
