/** Where a backup comes from: what MANIFEST_KEY asks of it before it is restored or proved. */
import { Failure } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import { isSigned, type Manifest, type ManifestKeys } from "./manifest.ts";
import { parseBackupName } from "./name.ts";

/** Why the backup cannot be trusted, and what to do; undefined when it can, or when MANIFEST_KEY is not set. */
export function doubtOf(
  name: string,
  manifest: Manifest | undefined,
  keys: ManifestKeys,
): { why: string; hint: string } | undefined {
  if (keys === undefined) return undefined;
  if (!manifest) return { why: "it has no manifest, so nothing shows where it comes from", hint: unsigned };
  if (manifest.signature === undefined) return { why: "its manifest is not signed", hint: unsigned };
  if (!isSigned(manifest))
    return {
      why: "its manifest was changed, or was signed with another key",
      hint: "if MANIFEST_KEY was changed: put the former key behind the new one, separated by a space",
    };
  const renamed = renaming(name, manifest);
  return renamed === undefined
    ? undefined
    : { why: renamed, hint: "give the backup and its manifest the names back that they had" };
}

/** That a backup is called other than its manifest says, for people; undefined when it is not. */
export function renaming(
  name: string,
  { database, startedAt }: Partial<Pick<Manifest, "database" | "startedAt">>,
): string | undefined {
  if (database === undefined || startedAt === undefined) return undefined;
  const said = parseBackupName(name);
  const time = Math.floor(Date.parse(startedAt) / 1000) * 1000;
  if (!said || (said.database === database && said.time.getTime() === time)) return undefined;
  return `it was renamed: its manifest is that of a backup of ${database} of ${startedAt}`;
}

const unsigned = "it was made before MANIFEST_KEY was set, or by somebody else who can write where it lies";

/** Throws a `Failure` when MANIFEST_KEY is set and the backup is not what was signed with it. `name` is what it is called. */
export function requireSigned(name: string, manifest: Manifest | undefined, keys: ManifestKeys): void {
  const doubt = doubtOf(name, manifest, keys);
  if (!doubt) return;
  throw new Failure(`${name} is refused, because MANIFEST_KEY is set: ${doubt.why}`, {
    hints: [doubt.hint, `if you know that it is good: restore ${quote(name)} --unsigned (from S3: with --from-s3)`],
  });
}
