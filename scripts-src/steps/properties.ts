/** What a new database is to be like, as the manifest of a backup says. */
import { openJson } from "../archive/unseal.ts";
import { keysFrom } from "../archive/keys.ts";
import { manifestName } from "../archive/name.ts";
import type { OpenBackup } from "../archive/read.ts";
import type { DatabaseProperties } from "../database/restoring.ts";
import type { Job } from "../run/script.ts";

/** Without `roles`: nothing that names one. Throws `Failure`. */
export async function propertiesOf(
  job: Job,
  { manifest, name }: Pick<OpenBackup, "manifest" | "name">,
  { roles }: { roles: boolean },
): Promise<DatabaseProperties> {
  if (!manifest) return {};
  const { create, encoding } = manifest;
  const sealed = typeof create === "string";
  const what = `the properties in ${manifestName(name)}`;
  const found = { encoding, ...(sealed ? ((await openJson(create, keysFrom(job), what)) as object) : create) };
  if (roles) return found;
  const { settings } = found as { settings?: unknown };
  const general = Array.isArray(settings)
    ? settings.filter((setting: { role?: unknown } | null) => !setting?.role)
    : [];
  return { ...found, owner: null, acl: null, settings: general };
}
