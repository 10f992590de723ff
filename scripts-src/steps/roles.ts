/** The roles (accounts) of a server: backed up after its databases, restored before them. */
import { serverRoles } from "../archive/name.ts";
import { messageOf } from "../base/errors.ts";
import { takeLock } from "../base/lock.ts";
import { counted, listOf } from "../base/text.ts";
import type { Connected } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import { readDump } from "../database/read-dump.ts";
import { type RolesContents, type RolesPlan, rolesReader, writeRoles } from "../database/roles.ts";
import type { Job } from "../run/script.ts";
import { backupFolder, lockName } from "./backup-folder.ts";
import { openChosen, tellOrigin } from "./open-chosen.ts";
import type { RestoreOptions } from "./options.ts";
import { type Places, pruneAll } from "./prune.ts";
import { takeBackup } from "./take-backup.ts";

export const wantsRoles = ({ settings: { BACKUP_ROLES, DB_NAMES } }: Pick<Job, "settings">): boolean =>
  BACKUP_ROLES ?? DB_NAMES !== undefined;

/** The databases are safe by now: what goes wrong here is a warning. */
export async function backUpRoles(job: Job<{ accept: boolean }>, open: () => Promise<Places>): Promise<void> {
  try {
    using _lock = takeLock(backupFolder(job), lockName({ name: serverRoles }), job.script);
    const connected = await openDatabase(job.settings, job).connect({ mayBeMissing: true });
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
      emptyContents: undefined,
      checkDumped: () => Promise.resolve(),
      properties: {},
    };
    const one: Job = { ...job, facts: { database: "@roles" } };
    await takeBackup(one, roles, places, job.options.accept);
    await pruneAll(one, roles, places);
  } catch (error) {
    job.signal.throwIfAborted();
    job.warn(`backup of the server's roles: ${messageOf(error)}`);
  }
}

export interface PlannedRoles {
  plan: RolesPlan;
  description: string;
}

/** Changes nothing. Without roles the databases can still be restored: then it is warned, and undefined is returned. */
export async function planRoles(job: Job<RestoreOptions>, connected: Connected): Promise<PlannedRoles | undefined> {
  try {
    const one: Job<RestoreOptions> = { ...job, facts: {}, options: { ...job.options, file: undefined } };
    // only what is missing is created, so every server counts as a new one
    const target = async () => ({ ...(await connected.target()), empty: true });
    const database = { ...connected, name: serverRoles, target };
    await using file = await openChosen(one, {
      database: { ...database, connect: async () => database },
      connected: database,
    });
    const reading = readDump<RolesContents>(rolesReader(connected.roles.isOurs), file.sql());
    const { statements } = await reading.catch((error: unknown) => {
      throw tellOrigin(error, file.path, one.facts);
    });
    const plan = await connected.roles.plan(statements);
    const { missing, unfinished, superusers } = plan;
    const none = `no role of ${file.name} is missing`;
    const some = `${counted(missing.length, "role")} of ${file.name} ${missing.length === 1 ? "is" : "are"} missing and will be created (${missing.join(", ")})`;
    const parts = listOf(
      missing.length === 0 ? none : some,
      superusers.length > 0 && `WITH ALL RIGHTS ON THE SERVER: ${superusers.join(", ")}`,
      unfinished.length > 0 &&
        `${unfinished.join(", ")}: created by a restore that was interrupted, rights are granted now`,
    );
    return { plan, description: parts.join("; ") };
  } catch (error) {
    job.signal.throwIfAborted();
    job.warn(`the server's roles are not restored: ${messageOf(error)}`);
    return undefined;
  }
}
