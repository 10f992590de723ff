/** Everything about one backup: `list NAME`. */
import { openJson } from "../archive/decrypt.ts";
import { type Keys, keysFrom } from "../archive/keys.ts";
import { isSigned, type Manifest } from "../archive/manifest.ts";
import { databaseLabel, serverRoles } from "../archive/name.ts";
import { doubtOf } from "../archive/trust.ts";
import { messageOf } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import { bytesText, visibleName } from "../base/text.ts";
import type { Job } from "../run/script.ts";
import type { ReadBackup } from "./find-all-backups.ts";

/** A table a line with its rows, the versions, and the commands that restore it. */
export async function describeOneBackup(job: Job, one: ReadBackup): Promise<string> {
  const { manifest, proof, stored } = one;
  const lines: [string, string][] = [
    ["name", one.name],
    ["database", databaseLabel(stored.backup.database)],
    ["started", stored.backup.time.toISOString()],
    ["size", `${bytesText(stored.bytes)}${manifest ? `, ${bytesText(manifest.uncompressedBytes)} of SQL` : ""}`],
    ...one.copies.map(({ place, fate }): [string, string] => [
      "lies in",
      `${place.locate(one.name)} (${fate.deleted ? "will be deleted" : "kept"}: ${fate.why})`,
    ]),
    ...(manifest
      ? ([
          ["server", `${manifest.serverVersion}${manifest.identity ? `, ${manifest.identity.server}` : ""}`],
          ["made with", `${manifest.clientVersion}, backup_scripts ${manifest.programVersion}, on ${manifest.host}`],
          ["site", manifest.site],
          ["sha256", manifest.sha256],
          ...(manifest.encryptedTo ? [["encrypted to", manifest.encryptedTo.join(", ")]] : []),
          ["signed", signatureText(one.name, manifest, keysFrom(job))],
        ] as [string, string][])
      : [["manifest", "none that can be read: not a finished backup, or a file made elsewhere"] as [string, string]]),
    ...(one.trouble === undefined ? [] : [["trouble", one.trouble] as [string, string]]),
    ...(manifest?.suspicious ?? []).map((text): [string, string] => ["suspicious", text]),
    ["proved", proof ? `${proof.provedAt} on ${proof.serverVersion}: ${proof.compared.join(", ")}` : "not yet"],
  ];
  const width = Math.max(...lines.map(([what]) => what.length));
  return [
    ...lines.map(([what, text]) => `${what.padEnd(width)}  ${visibleName(text)}`),
    "",
    ...(await tablesOf(job, one)),
    "",
    ...restoreCommands(one),
  ].join("\n");
}

/** Nobody can check a signature without the key. */
function signatureText(name: string, manifest: Manifest, keys: Keys): string {
  if (keys.manifestKeys === undefined)
    return manifest.signature === undefined ? "no" : "yes (not checked: MANIFEST_KEY is not set)";
  const doubt = doubtOf(name, manifest, keys);
  return doubt ? `no, so it is not restored by itself: ${doubt.why}` : "yes";
}

async function tablesOf(job: Job, { name, manifest, stored }: ReadBackup): Promise<string[]> {
  if (stored.backup.database === serverRoles) return ["tables: none, these are the server's roles"];
  const { tables } = manifest ?? {};
  if (tables === undefined) return ["tables: the manifest does not list them"];
  try {
    const known =
      typeof tables === "string" ? await openJson(tables, keysFrom(job), `the tables in ${name}.json`) : tables;
    const rows = Object.entries(known as Record<string, number>);
    const width = Math.max(6, ...rows.map(([table]) => visibleName(table).length));
    return [
      `${"table".padEnd(width)}  rows`,
      ...rows.map(([table, count]) => `${visibleName(table).padEnd(width)}  ${count.toLocaleString("en")}`),
    ];
  } catch (error) {
    return [`tables: encrypted with the backup (${messageOf(error)})`];
  }
}

function restoreCommands({ name, copies, manifest }: ReadBackup): string[] {
  const s3 = copies.every(({ place }) => place.shared) ? " --from-s3" : "";
  return [
    `restore it:                    restore${s3} ${quote(name)}`,
    ...(manifest ? [`without this program, in its folder: ${visibleName(manifest.restoreCommand)}`] : []),
    ...(manifest && s3 && !isSigned(manifest)
      ? ["(read that command before you run it: whoever can write to the bucket can have written it)"]
      : []),
  ];
}
