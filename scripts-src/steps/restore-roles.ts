/** The roles (accounts) of a server, from their newest backup. */
import { serverRoles } from "../archive/name.ts";
import { messageOf } from "../base/errors.ts";
import { counted } from "../base/text.ts";
import type { Connected } from "../database/database.ts";
import { readDump } from "../database/read-dump.ts";
import { type RolesContents, type RolesPlan, rolesReader } from "../database/roles.ts";
import type { Job } from "../run/script.ts";
import { lookAtFolder, prepareFolder } from "../places/folder.ts";
import { backupFolder } from "./backup-folder.ts";
import { openChosen } from "./open-chosen.ts";
import type { RestoreOptions } from "./options.ts";

/** Where a copy from S3 lies while it is read. A dry run makes no folder. */
async function copyFolder(job: Job<RestoreOptions>): Promise<string> {
  const folder = backupFolder(job);
  if (!job.options.fromS3) return folder;
  if (job.options.dryRun) return (await lookAtFolder(folder)).nearest;
  await prepareFolder(folder);
  return folder;
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
    await using file = await openChosen(
      one,
      { database: { ...database, connect: async () => database }, connected: database },
      await copyFolder(job),
    );
    const { statements } = await readDump<RolesContents>(rolesReader(connected.roles.isOurs), file.sql());
    const plan = await connected.roles.plan(statements);
    const { missing, unfinished, superusers } = plan;
    const special = superusers.length > 0 ? `; WITH ALL RIGHTS ON THE SERVER: ${superusers.join(", ")}` : "";
    const names = missing.length > 0 ? ` (${missing.join(", ")})` : "";
    const rest =
      unfinished.length > 0
        ? `; ${unfinished.join(", ")}: created by a restore that was interrupted, rights are granted now`
        : "";
    return {
      plan,
      description: `${counted(missing.length, "role")} of ${file.name} ${missing.length === 1 ? "is" : "are"} missing and will be created${names}${special}${rest}`,
    };
  } catch (error) {
    job.signal.throwIfAborted();
    job.warn(`the server's roles are not restored: ${messageOf(error)}`);
    return undefined;
  }
}
