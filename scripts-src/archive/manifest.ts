/** What lies beside a backup file: the manifest (what it is, how to check it, how to restore it without this program) and the proof. */
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { codeOf, damaged, Failure, messageOf } from "../base/errors.ts";
import { readFailure } from "../base/disk.ts";
import { identitySchema } from "./identity.ts";
import { manifestName, parseBackupName } from "./name.ts";
import { readSmall } from "./plain-file.ts";
import { quote } from "../base/process.ts";

/** Rises only when an older reader would misunderstand; new fields do not raise it. */
const currentFormat = 1;

/** Readers keep and ignore fields that they do not know. */
const schema = z.lazy(() => {
  const count = z.int().nonnegative();
  const instant = z.iso.datetime();
  // a record of zod's loses a table `__proto__`
  const rows = z.custom<Record<string, number>>(
    (value) =>
      value instanceof Object && !Array.isArray(value) && z.array(count).safeParse(Object.values(value)).success,
    "it is no list of tables with their rows",
  );
  return z.looseObject({
    formatVersion: z.literal(currentFormat),
    database: z.string().min(1),
    engine: z.enum(["postgresql", "mysql", "mariadb"]),
    /** "PostgreSQL 15.18". */
    serverVersion: z.string(),
    /** "pg_dump 15.18". */
    clientVersion: z.string(),
    /** UTC, ISO 8601. */
    startedAt: instant,
    endedAt: instant,
    /** Size of the file. */
    bytes: count,
    /** Of the file, lower-case hexadecimal. */
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    /** Size of the SQL. */
    uncompressedBytes: count,
    compression: z.enum(["gzip", "zstd", "none"]),
    /** Version of backup_scripts that made it. */
    programVersion: z.string(),
    host: z.string(),
    site: z.string(),
    /** Absent in files of version 0.1. */
    identity: identitySchema.optional(),
    /** Rows of all tables; absent in files of version 0.1. */
    rows: count.optional(),
    /** Rows of each table; of an encrypted backup only those who can decrypt it can read them (`sealJson`). */
    tables: z.union([rows, z.string()]).optional(),
    /** What else the dump holds (see `kept-contents.ts`); sealed like `tables`. */
    contents: z.union([z.record(z.string(), z.unknown()), z.string()]).optional(),
    /** Why it may have lost data (see `suspicion.ts`); absent when nothing speaks against it. */
    suspicious: z.array(z.string()).optional(),
    /** The database's own properties, as data; sealed like `tables`. */
    create: z.union([z.record(z.string(), z.unknown()), z.string()]).optional(),
    /** Extra words given to the dump program. */
    dumpOptions: z.array(z.string()),
    /** Character set of the database. */
    encoding: z.string(),
    /** A command of stock tools that restores the file, to be run in its folder. */
    restoreCommand: z.string(),
    /** Public keys to which the file is encrypted. */
    encryptedTo: z.array(z.string()).optional(),
    /** The second line of the file: see `signed`. */
    signature: z.string().optional(),
  });
});

export type Manifest = z.infer<typeof schema>;

const version = z.lazy(() => z.object({ formatVersion: z.int() }));

/** What `formatManifest` is given: everything but the format's version and the signature. */
export type ManifestFacts = Pick<
  Manifest,
  Exclude<keyof ReturnType<typeof schema.unwrap>["shape"], "formatVersion" | "signature">
>;

const hints = ["restore a healthy copy of the manifest, or move it away to go on without its checks"];

/** The text of a manifest file: JSON for people, signed when there is a key (MANIFEST_KEY). */
export function formatManifest(facts: ManifestFacts, keys?: ManifestKeys): string {
  return signed(`${JSON.stringify(schema.parse({ formatVersion: currentFormat, ...facts }), null, 2)}\n`, keys);
}

/** MANIFEST_KEY: the first key signs, all of them verify. */
export type ManifestKeys = readonly string[] | undefined;

/** Manifests whose text bore a good signature when it was read: a mark that no text can claim for itself. */
const proved = new WeakSet<Manifest>();

/** Whether the manifest was read with MANIFEST_KEY and is signed with it. */
export const isSigned = (manifest: Manifest | undefined): boolean => manifest !== undefined && proved.has(manifest);

/**
 * Reads the content of a manifest file; `path` is for messages. With `keys` its signature is checked first, and `isSigned` tells
 * the result. Throws `Failure` when it is damaged or of a newer format.
 */
export function parseManifest(content: Uint8Array | string, path: string, keys?: ManifestKeys): Manifest {
  const bytes = Buffer.from(content);
  const isProved = isSignedWith(bytes, keys);
  const manifest = readText(bytes.toString(), path);
  if (isProved) proved.add(manifest);
  return manifest;
}

function readText(text: string, path: string): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Failure(`manifest ${path} is damaged: ${messageOf(error)}`, { hints, cause: error });
  }
  const { formatVersion = 0 } = version.safeParse(json).data ?? {};
  if (formatVersion > currentFormat)
    throw new Failure(`manifest ${path} has format ${formatVersion}, this program knows ${currentFormat}`, {
      hints: ["use a newer backup_scripts"],
    });
  const { data, error } = schema.safeParse(json);
  if (data) return data;
  const valueAt = (path: readonly PropertyKey[]) =>
    path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], json);
  const isMissing = (path: readonly PropertyKey[]) => path.length > 0 && valueAt(path) === undefined;
  const missing = error.issues.flatMap((issue) => (isMissing(issue.path) ? [issue.path.join(".")] : []));
  const wrong = error.issues
    .filter((issue) => !isMissing(issue.path))
    .map((issue) => `${issue.path.join(".") || "all of it"}: ${issue.message}`);
  const all = [...(missing.length > 0 ? [`it lacks ${missing.join(", ")}`] : []), ...wrong];
  throw new Failure(`manifest ${path} is damaged: ${all.join("; ")}`, { hints });
}

/** The manifest in a file, undefined when there is none. Throws `Failure` when it cannot be read or is damaged. */
export async function readManifest(path: string, keys?: ManifestKeys): Promise<Manifest | undefined> {
  const content = await readSmall(path);
  return content && parseManifest(content, path, keys);
}

/** Why a file of so many bytes cannot be the backup of this manifest; undefined when it can. */
export function sizeFault(
  path: string,
  bytes: number,
  manifest: { bytes?: number } | undefined,
  hint?: string,
): Failure | undefined {
  if (manifest?.bytes === undefined || manifest.bytes === bytes) return undefined;
  return damaged(path, `it has ${bytes} bytes, its manifest says ${manifest.bytes}`, hint);
}

/**
 * What speaks against a backup at first sight: it or its manifest cannot be read, or its manifest gives another size. Undefined when
 * nothing does, when it has no manifest, or when it is deleted meanwhile.
 */
export async function faultOf(path: string): Promise<Failure | undefined> {
  try {
    const manifest = await readManifest(manifestName(path));
    const { size } = await stat(path);
    await access(path, constants.R_OK);
    return sizeFault(path, size, manifest, "remove a damaged file with its manifest, or put a good copy in its place");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    return error instanceof Failure ? error : readFailure(path, error);
  }
}

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

/** A sentence for people when the backup's name differs from what its manifest says; undefined when it does not. */
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

/** Throws a `Failure` when MANIFEST_KEY is set and the backup is not what was signed with it. `name` is the name of the backup. */
export function requireSigned(name: string, manifest: Manifest | undefined, keys: ManifestKeys): void {
  const doubt = doubtOf(name, manifest, keys);
  if (!doubt) return;
  throw new Failure(`${name} is refused, because MANIFEST_KEY is set: ${doubt.why}`, {
    hints: [doubt.hint, `if you know that it is good: restore ${quote(name)} --unsigned (from S3: with --from-s3)`],
  });
}

const line = /^ {2}"signature": "([0-9a-f]{64})",\n$/;
const newline = 0x0a;

/**
 * `text` (JSON over several lines) with its signature under the first of the keys; without a key, `text` itself. Manifests and proofs are
 * signed because somebody who can write to the bucket must not choose what is restored. The signature is the second line of the file,
 * `  "signature": "<hex>",`: the HMAC-SHA256, under MANIFEST_KEY, of the exact bytes of the other lines. Nothing is parsed before it is
 * checked, and no program's way of writing JSON matters.
 */
export function signed(text: string, keys: readonly string[] | undefined): string {
  const [key] = keys ?? [];
  if (key === undefined) return text;
  const start = text.indexOf("\n") + 1;
  return `${text.slice(0, start)}  "signature": "${hmac(key, Buffer.from(text)).toString("hex")}",\n${text.slice(start)}`;
}

/** Whether the file's content is signed with one of the keys. */
export function isSignedWith(content: Buffer, keys: readonly string[] | undefined): boolean {
  if (keys === undefined) return false;
  const start = content.indexOf(newline) + 1;
  const end = content.indexOf(newline, start) + 1;
  const found = line.exec(content.toString("latin1", start, end))?.[1];
  if (found === undefined) return false;
  const rest = Buffer.concat([content.subarray(0, start), content.subarray(end)]);
  return keys.some((key) => timingSafeEqual(hmac(key, rest), Buffer.from(found, "hex")));
}

const hmac = (key: string, content: Buffer) => createHmac("sha256", key).update(content).digest();

const proofFormat = 1;

/** The proof beside a backup file: it was restored, and the copy was compared with it. */
const proofSchema = z.lazy(() =>
  z.looseObject({
    formatVersion: z.literal(proofFormat),
    /** Name and SHA-256 of the backup file. */
    backup: z.string(),
    sha256: z.string().regex(/^[0-9a-f]{64}$/),
    /** UTC, ISO 8601: when the copy was found equal. */
    provedAt: z.iso.datetime(),
    /** How long (ms) the backup took to be restored: the measured time to recover. */
    restoreMs: z.int().nonnegative(),
    /** How long (ms) everything took. */
    durationMs: z.int().nonnegative(),
    /** Where it was restored: "PostgreSQL 17.10", and its address without secrets. */
    serverVersion: z.string(),
    server: z.string(),
    tables: z.int().nonnegative(),
    rows: z.int().nonnegative(),
    /** What was compared: "every row", "every statement of the schema", … */
    compared: z.array(z.string()),
    /** What was left out of the comparison, and why. */
    leftOut: z.array(z.string()),
    programVersion: z.string(),
    /** The second line of the file: see `signed`. */
    signature: z.string().optional(),
  }),
);

export type Proof = z.infer<typeof proofSchema>;
/** What `formatProof` is given: everything but the format's version and the signature. */
export type ProofFacts = Pick<
  Proof,
  Exclude<keyof ReturnType<typeof proofSchema.unwrap>["shape"], "formatVersion" | "signature">
>;

/** The text of a proof file, signed when there is a key (MANIFEST_KEY). */
export function formatProof(facts: ProofFacts, keys: ManifestKeys): string {
  return signed(`${JSON.stringify(proofSchema.parse({ formatVersion: proofFormat, ...facts }), null, 2)}\n`, keys);
}

/** The proof in a file's content; undefined when it is damaged, of a newer format, or, with keys, not signed with one of them. */
export function parseProof(content: Uint8Array, keys: ManifestKeys): Proof | undefined {
  if (keys !== undefined && !isSignedWith(Buffer.from(content), keys)) return undefined;
  try {
    return proofSchema.safeParse(JSON.parse(Buffer.from(content).toString())).data;
  } catch {
    return undefined;
  }
}
