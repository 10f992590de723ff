/** What the dry runs look at, piece by piece. Nothing here changes anything, except for a probe object in S3, which is deleted again. */
import { publicKeyOf, seal } from "../archive/age.ts";
import { keysFrom, readIdentities } from "../archive/keys.ts";
import { freeBytes } from "../base/disk.ts";
import { Failure, messageOf } from "../base/errors.ts";
import { tryLock } from "../base/lock.ts";
import { bytesText, visibleName } from "../base/text.ts";
import type { Connected, ConnectOptions, Database } from "../database/database.ts";
import { reach } from "../notify/http.ts";
import { checkMail } from "../notify/mail.ts";
import type { NoticeSettings } from "../notify/notify.ts";
import { inFolder, lookAtFolder } from "../places/folder.ts";
import { listBackups, newestGood } from "../places/place.ts";
import type { Check, Warned } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
import type { SettingName, Settings } from "../settings/settings.ts";
import type { Exposure } from "../storage/exposure.ts";
import { openStorage } from "../storage/open.ts";
import { probeExposure, probeName, probeWriting } from "../storage/probe.ts";
import { lockName } from "./backup-folder.ts";

/** A database as the checks get to know it, one after the other. */
export interface Target {
  database: Database;
  /** The checks are about several. */
  isOneOfMany?: boolean;
  /** Set once the login worked. */
  connected?: Connected;
}

/** Programs and login. */
export const checkLogin = ({ log }: Job, target: Target, options?: ConnectOptions): Check => ({
  what: `database ${target.database.where}`,
  async look() {
    target.connected = await target.database.connect(options);
    const { server, exists } = target.connected;
    for (const warning of server.warnings) log.warn(warning);
    if (!exists) return `${server.version}, ${server.client}; the database does not exist yet`;
    return `${server.version}, ${server.client}, about ${bytesText(server.dataBytes)} of data`;
  },
});

/** Tells the checks of several databases apart; empty where a run is about one alone. */
export const forDatabase = ({ database, isOneOfMany }: Target): string =>
  isOneOfMany ? ` for ${visibleName(database.name)}` : "";

/** What a backup has to read. */
export const checkPrivileges = (target: Target): Check => ({
  what: `privileges${forDatabase(target)}`,
  async look() {
    if (!target.connected) return { skipped: "not checked without the database" };
    await target.connected.checkReading();
    return "the user can read everything a backup needs";
  },
});

/** BACKUP_DIR, which is not made, and room in it for the next backup. */
export const checkRoom = ({ settings }: Job, target: Target, folder: string): Check => ({
  what: `folder ${folder}`,
  async look() {
    const { exists, nearest } = await lookAtFolder(folder);
    tryLock(folder, lockName(target.database));
    const state = exists ? "writable" : `can be created in ${nearest}`;
    if (!settings.BACKUP_KEEP_LOCAL) return state;
    const free = await freeBytes(nearest);
    const next = await nextBackup(settings, target, folder);
    if (free > (next?.bytes ?? 0)) return [state, `${bytesText(free)} free`, ...(next ? [next.text] : [])].join(", ");
    throw new Failure(`${bytesText(free)} free${next ? `, but ${next.text}` : ""}`, {
      hints: ["free some space, set LOCAL_RETENTION_DAYS, or set BACKUP_DIR to a larger disk"],
    });
  },
});

/** How large the next backup will be: a little more than the last one, else by a rule of thumb; undefined when nothing is known. */
async function nextBackup({ BACKUP_COMPRESSION }: Settings, target: Target, folder: string) {
  const { database, connected } = target;
  const last = newestGood(await listBackups(inFolder(folder), database.name));
  if (!last && !connected) return undefined;
  // SQL mostly shrinks to less than a quarter of the tables' size
  const guess = (connected?.server.dataBytes ?? 0) / (BACKUP_COMPRESSION === "none" ? 1 : 4);
  const bytes = Math.round(last ? last.bytes * 1.1 : guess);
  return {
    bytes,
    text: `the next backup${forDatabase(target)} takes about ${bytesText(bytes)} (estimated from the ${last ? "last one" : "size of the tables"})`,
  };
}

/** Lists, and writes, reads and deletes an object in S3. */
export const checkStorage = (job: Job): Check => ({
  what: `storage s3://${job.settings.S3_BUCKET}/${job.settings.S3_PATH}`,
  async look() {
    const storage = await openStorage(job.settings, job);
    const lacks = await probeWriting(storage);
    const host = storage.elsewhere();
    const where = host === undefined ? "" : `; at ${host}, by AWS_ENDPOINT_URL or ~/.aws/config`;
    if (lacks.length > 0)
      return `can be written (tried with an object ${probeName}), but ${lacks.join(", and ")}${where}`;
    return `can be listed, written, read and deleted (tried with an object ${probeName}, which was deleted again)${where}`;
  },
});

/** How long (ms) each may take. */
const patience = 12_000;

/** One check for every way that is used; nothing is sent. */
export function checkNotices(settings: NoticeSettings): Check[] {
  const { EMAIL_NOTIFY_MODE: mode, SMTP_HOST, EMAIL_FROM, EMAIL_TO, NOTIFY_WEBHOOK_URL, HEALTHCHECK_URL } = settings;
  const mails = mode !== "NEVER" && Boolean(SMTP_HOST ?? EMAIL_FROM ?? EMAIL_TO);
  const checks = [
    ...(mails ? [{ what: "mail", look: () => checkMail(settings, patience) }] : []),
    ...(mode === "NEVER" ? [] : (NOTIFY_WEBHOOK_URL ?? []).map((url) => checkAddress("NOTIFY_WEBHOOK_URL", url))),
    ...(HEALTHCHECK_URL ? [checkAddress("HEALTHCHECK_URL", HEALTHCHECK_URL)] : []),
  ];
  const none = { skipped: "none set up; nobody will be told when a run fails (./help mail)" };
  return checks.length > 0 ? checks : [{ what: "notices", look: () => Promise.resolve(none) }];
}

const checkAddress = (setting: SettingName, address: string): Check => ({
  what: setting,
  async look() {
    const url = new URL(address);
    await reach(setting, url, patience);
    return `${url.host} answers, nothing was posted (help --test-notice does)`;
  },
});

/** Tries to encrypt, and whether the private key lies where it should not. */
export const checkEncryption = (job: Job, recipients: readonly string[]): Check => ({
  what: "encryption",
  async look() {
    for await (const _ of seal(nothing(), recipients));
    const found = `to ${recipients.join(", ")}`;
    const { identityFile } = keysFrom(job);
    const secrets = identityFile === undefined ? [] : await readIdentities(identityFile).catch(() => []);
    if (identityFile === undefined || secrets.length === 0) return found;
    const opened = await Promise.all(secrets.map(publicKeyOf));
    if (!opened.some((recipient) => recipients.includes(recipient)))
      return warned(`${found}; the private key in ${identityFile} decrypts none of these backups`, [
        "set AGE_IDENTITY_FILE to the private key of one of AGE_RECIPIENTS, or add its public key there",
      ]);
    return warned(`${found}; the private key lies on this machine too, in ${identityFile}`, [
      "when this machine only makes backups, move the key to where they are restored: who breaks in here can read all of them",
    ]);
  },
});

async function* nothing(): AsyncGenerator<Uint8Array> {}

const warned = (warning: string, hints: readonly string[]): Warned => ({ warning, hints });

/** Whether whoever takes over this machine could destroy the backups in S3. */
export const checkExposure = (job: Job): Check => ({
  what: "protection in S3",
  async look() {
    const exposure = await probeExposure(await openStorage(job.settings, job)).catch((error: unknown) => {
      job.signal.throwIfAborted();
      return { skipped: `not tried: ${messageOf(error)}` };
    });
    if (typeof exposure === "object") return exposure;
    if (exposure === "protected")
      return "this access key cannot destroy backups: the bucket keeps a version of what it overwrites or deletes";
    return warned(dangers[exposure], [
      exposure === "unversioned"
        ? "turn on the bucket's versioning (or object lock), then forbid this key to delete versions"
        : "forbid this key to delete versions",
      `a bucket policy that does this: ${protectingPolicy(job.settings.S3_BUCKET ?? "")}`,
    ]);
  },
});

const dangers: Record<Exclude<Exposure, "protected">, string> = {
  unversioned: "whoever gets hold of this access key can destroy all backups: the bucket keeps no versions",
  "versions deletable":
    "whoever gets hold of this access key can destroy all backups: it may delete the versions that the bucket keeps",
};

/** A policy for the bucket under which the access key can still back up and prune, but destroy nothing. */
export const protectingPolicy = (bucketName: string): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Deny",
        Principal: { AWS: "ARN-OF-THE-KEYS-USER" },
        Action: [
          "s3:DeleteObjectVersion",
          "s3:BypassGovernanceRetention",
          "s3:PutBucketVersioning",
          "s3:PutLifecycleConfiguration",
          "s3:PutBucketPolicy",
          "s3:DeleteBucketPolicy",
        ],
        Resource: [`arn:aws:s3:::${bucketName}`, `arn:aws:s3:::${bucketName}/*`],
      },
    ],
  });
