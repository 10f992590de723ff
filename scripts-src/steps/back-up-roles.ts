/** Backs up the server's roles (accounts), after its databases: without them a restored server lets nobody in. */
import { serverRoles } from "../archive/name.ts";
import { messageOf } from "../base/errors.ts";
import { takeLock } from "../base/lock.ts";
import { openDatabase } from "../database/open.ts";
import { rolesReader, writeRoles } from "../database/roles.ts";
import type { Job } from "../run/script.ts";
import { lockName } from "./backup-folder.ts";
import { type Places, pruneAll } from "./prune.ts";
import { takeBackup } from "./take-backup.ts";

export const wantsRoles = ({ settings: { BACKUP_ROLES, DB_NAMES } }: Pick<Job, "settings">): boolean =>
  BACKUP_ROLES ?? DB_NAMES !== undefined;

/** The databases are safe by now: what goes wrong here is a warning. */
export async function backUpRoles(
  job: Job<{ accept: boolean }>,
  folder: string,
  open: () => Promise<Places>,
): Promise<void> {
  try {
    using _lock = takeLock(folder, lockName({ name: serverRoles }), job.script);
    const connected = await openDatabase(job.settings, job).connect();
    const read = await connected.roles.read().catch((error: unknown) => {
      // by default it is a service, not a promise
      if (job.settings.BACKUP_ROLES || !/denied/.test(messageOf(error))) throw error;
      job.log.info(`note: the server's roles are not backed up: ${messageOf(error)}`);
    });
    if (!read) return;
    for (const note of read.notes) job.log.info(`note: the server's roles are backed up ${note}`);
    for (const what of read.lacking) job.warn(`the backup of the server's roles lacks ${what}`);
    const places = await open();
    for (const place of [places.local, places.remote]) await place?.sweep(serverRoles);
    const roles = {
      ...connected,
      name: serverRoles,
      dump: () => writeRoles(read.statements),
      reader: () => rolesReader(connected.roles.isOurs),
      checkDumped: () => Promise.resolve(),
      properties: {},
    };
    const one: Job = { ...job, facts: { database: "@roles" } };
    await takeBackup(one, roles, places, job.options.accept);
    await pruneAll(one, roles, places);
  } catch (error) {
    job.signal.throwIfAborted();
    job.warn(`the server's roles could not be backed up: ${messageOf(error)}`);
  }
}
