/** backup and restore beside what people use instead, on a generated PostgreSQL database and its real clients. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { sealing } from "../support/expect/age.ts";
import { cephHere, startCeph } from "../support/servers/ceph.ts";
import { backupName, installScripts } from "../support/machine/executables.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { tempDir } from "../support/machine/temp.ts";
import { type Contender, measure, table, type Wanted } from "./measure.ts";

/** Integers, text and JSON; `rows` of 5 million are about 1 GB of SQL. */
const sample = (rows: number) => `
  CREATE TABLE numbers AS SELECT i AS id, (i::bigint * 7919) % 1000003 AS a, random() AS b, now() - i * interval '1 second' AS at
    FROM generate_series(1, ${rows}) AS i;
  CREATE TABLE texts AS SELECT i AS id, md5(i::text) AS hash, repeat(substr(md5((i / 7)::text), 1, 8) || ' ', 1 + i % 12) AS body
    FROM generate_series(1, ${rows}) AS i;
  CREATE TABLE documents AS SELECT i AS id, json_build_object('user', i % 5000, 'url', '/api/v1/items/' || i % 3000,
    'status', 200 + 204 * (i % 2), 'session', md5((i % 200000)::text))::jsonb AS document FROM generate_series(1, ${rows / 2}) AS i;
  ALTER TABLE numbers ADD PRIMARY KEY (id); ALTER TABLE texts ADD PRIMARY KEY (id); ALTER TABLE documents ADD PRIMARY KEY (id);
  CREATE INDEX ON texts (hash); CREATE INDEX ON numbers (a);`;

export async function run(command: string[], env: Record<string, string>): Promise<void> {
  if ((await Bun.spawn(command, { env, stdin: "ignore" }).exited) !== 0) throw new Error(`${command.join(" ")} failed`);
}

export const shell = (command: string) => ["sh", "-c", `set -e; ${command}`];

interface Place {
  server: PostgresServer;
  /** Folder of its own. */
  dir: string;
  /** Settings of an empty bucket; absent where there is no Ceph. */
  bucket: Record<string, string> | undefined;
}

/** What tests switch off for speed is on, as on a user's server; only checkpoints wait, lest one hits a single contender. */
const asUsersHaveIt = {
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  wal_level: "replica",
  shared_buffers: "128MB",
  max_wal_size: "8GB",
  checkpoint_timeout: "1h",
};

export async function withDatabase<T>(rows: number, work: (place: Place) => Promise<T>): Promise<T> {
  const server = await startPostgres(15, asUsersHaveIt);
  const ceph = cephHere ? await startCeph(8) : undefined;
  const dir = tempDir("bench");
  try {
    await server.createDatabase("bench", sample(rows));
    await server.createDatabase("copy");
    return await work({ server, dir, bucket: ceph && s3Settings(ceph, await ceph.newBucket()) });
  } finally {
    rmSync(dir, { recursive: true, force: true });
    await ceph?.stop();
    await server.stop();
  }
}

export const benchBackup = (rows: number, rounds: number): Promise<string> =>
  withDatabase(rows, (place) => measureBackups(place, rounds));

export const benchRestore = (rows: number, rounds: number): Promise<string> =>
  withDatabase(rows, async ({ server, dir, bucket }) => {
    await measure(ourBackups(server, dir, bucket).slice(0, 2), 1);
    await run(shell(`${server.clientDir}/pg_dump --clean --if-exists | gzip -6 > ${dir}/a.gz`), server.env("bench"));
    return measureRestores(server, dir, rounds);
  });

/** What encryption and signatures cost. */
export const benchSealing = (rows: number, rounds: number): Promise<string> =>
  withDatabase(rows, async ({ server, dir }) => {
    const [plain, sealed] = [
      ["plain", {}],
      ["sealed", sealing()],
    ] as const;
    const backups = [plain, sealed].map(([kind, settings]) => ({
      ...backupBy(server, dir, `backup, ${kind}`, settings),
      wanted: kind === "sealed" ? [{ atMost: 1.08, of: ["backup, plain"] }] : [],
    }));
    const made = await measure(backups, rounds);
    const restores = [plain, sealed].map(([kind, settings]) => ({
      name: `restore, ${kind}`,
      prepare: () => prepareCopy(server),
      command: restoreFrom(server, folderOf(dir, `backup, ${kind}`), settings),
      wanted: kind === "sealed" ? [{ atMost: 1.15, of: ["restore, plain"] }] : [],
    }));
    return [
      table("Encrypted and signed: backup, gzip", made, "backup, plain"),
      table(
        "Encrypted and signed: restore (into an empty database)",
        await measure(restores, rounds),
        "restore, plain",
      ),
    ].join("\n");
  });

/** What a proof costs: at most 1.35 times as long as a restore beside and one dump, 200 MB at most. */
export const benchVerify = (rows: number, rounds: number): Promise<string> =>
  withDatabase(rows, async ({ server, dir }) => {
    await measure([backupBy(server, dir, "backup", {})], 1);
    const folder = folderOf(dir, "backup");
    const scripts = installScripts({ ...server.settings("bench"), BACKUP_DIR: folder });
    const beside = `${scripts.dir}/restore --yes --drop-before ${newestIn(folder)} && ${server.clientDir}/pg_dump > /dev/null`;
    const base = "restore beside and a dump";
    const contenders = [
      { name: base, command: shell(beside), env: server.env("bench") },
      { name: "verify", command: [join(scripts.dir, "verify")], wanted: [{ atMost: 1.35, of: [base] }] },
    ];
    return table("Proof", await measure(contenders, rounds), base);
  });

const newestIn = (folder: string) => join(folder, readdirSync(folder).find((entry) => backupName.test(entry)) ?? "");

/** Restores the backup of this folder, its BACKUP_DIR, into `copy`. */
function restoreFrom(server: PostgresServer, folder: string, settings: Record<string, string> = {}): string[] {
  const scripts = installScripts({ ...server.settings("copy"), BACKUP_DIR: folder, ...settings });
  return [join(scripts.dir, "restore"), newestIn(folder), "--yes"];
}

/** The peak must not follow the size of the database: 100 MB and 4 GB of SQL, one run each. */
export async function benchMemory(sizes: readonly number[]): Promise<string> {
  const parts: string[] = [];
  for (const rows of sizes) {
    await withDatabase(rows, async ({ server, dir, bucket }) => {
      // one run each: too few to judge times by
      const backups = ourBackups(server, dir, bucket).map((one) => ({ ...one, wanted: [] }));
      const measured = await measure(backups, 1);
      measured.push(...(await measure(ourRestores(server, dir), 1)));
      parts.push(table(`Memory, ${rows.toLocaleString("en")} rows`, measured, "backup, gzip"));
    });
  }
  return parts.join("\n");
}

/** The folder of each contender's backups; emptied before each run. */
const folderOf = (dir: string, name: string) => join(dir, name.replaceAll(/\W+/g, "-"));

/** Our backup with these settings, into the folder of its name. */
export function backupBy(
  server: PostgresServer,
  dir: string,
  name: string,
  settings: Record<string, string>,
  words: string[] = [],
): Contender {
  const folder = folderOf(dir, name);
  const scripts = installScripts({ ...server.settings("bench"), BACKUP_DIR: folder, ...settings });
  return {
    name,
    prepare: async () => rmSync(folder, { recursive: true, force: true }),
    command: [join(scripts.dir, "backup"), ...words],
    size: () => Math.max(...readdirSync(folder).map((file) => statSync(join(folder, file)).size)),
  };
}

function ourBackups(server: PostgresServer, dir: string, bucket: Place["bucket"]): Contender[] {
  const ours = (name: string, settings: Record<string, string>, words: string[] = []) =>
    backupBy(server, dir, name, settings, words);
  const wants = (contender: Contender, ...wanted: Wanted[]) => ({ ...contender, wanted });
  return [
    wants(
      ours("backup, gzip", {}),
      { atMost: 0.75, of: ["pg_dump | pigz -6"] },
      { atMost: 1.25, of: ["pg_dump > /dev/null"] },
    ),
    wants(ours("backup, zstd", { BACKUP_COMPRESSION: "zstd" }), { atMost: 1.1, of: ["pg_dump | zstd -3 -T2"] }),
    ...(bucket
      ? [wants(ours("backup --upload, gzip", bucket, ["--upload"]), { atMost: 1.05, of: ["backup, gzip"] })]
      : []),
  ];
}

/** Empty, and without what a restore keeps. */
async function prepareCopy(server: PostgresServer): Promise<void> {
  const there = await server.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'copy%'");
  for (const name of there.split("\n")) await server.dropDatabase(name);
  await server.createDatabase("copy");
}

/** Holds something, so that the restore goes beside it and exchanges. */
async function fillCopy(server: PostgresServer): Promise<void> {
  await prepareCopy(server);
  await server.sql("copy", "CREATE TABLE old AS SELECT 1 AS id");
}

function ourRestores(server: PostgresServer, dir: string): Contender[] {
  return ["gzip", "zstd"].map((compression) => ({
    name: `restore, ${compression}`,
    prepare: () => prepareCopy(server),
    command: restoreFrom(server, folderOf(dir, `backup, ${compression}`)),
  }));
}

async function measureBackups({ server, dir, bucket }: Place, rounds: number): Promise<string> {
  const dump = `${server.clientDir}/pg_dump --clean --if-exists`;
  const env = server.env("bench");
  const to = (file: string) => ({ env, size: () => statSync(join(dir, file)).size });
  const measured = await measure(
    [
      { name: "pg_dump > /dev/null", command: shell(`${dump} > /dev/null`), env },
      {
        name: "our reader alone, of a file (at most 8 % of a backup's time)",
        prepare: () => run(shell(`[ -e ${dir}/e.sql ] || ${dump} > ${dir}/e.sql`), env),
        command: [process.execPath, join(import.meta.dir, "reader.ts"), `${dir}/e.sql`],
      },
      { name: "pg_dump | gzip -6", command: shell(`${dump} | gzip -6 > ${dir}/a.gz`), ...to("a.gz") },
      { name: "pg_dump | pigz -6", command: shell(`${dump} | pigz -6 > ${dir}/b.gz`), ...to("b.gz") },
      { name: "pg_dump | zstd -3 -T2", command: shell(`${dump} | zstd -q -3 -T2 > ${dir}/c.zst`), ...to("c.zst") },
      { name: "pg_dump > FILE", command: shell(`${dump} > ${dir}/d.sql`), ...to("d.sql") },
      ...ourBackups(server, dir, bucket),
      {
        ...backupBy(server, dir, "backup, none", { BACKUP_COMPRESSION: "none" }),
        wanted: [{ atMost: 1.15, of: ["pg_dump > FILE"] }],
      },
    ],
    rounds,
  );
  return table("Backup", measured, "pg_dump | pigz -6");
}

async function measureRestores(server: PostgresServer, dir: string, rounds: number): Promise<string> {
  const psql = `${server.clientDir}/psql -qX -v ON_ERROR_STOP=1`;
  await run([`${server.clientDir}/pg_dump`, "-Fc", "-f", `${dir}/d.dump`], server.env("bench"));
  const prepare = () => prepareCopy(server);
  const env = server.env("copy");
  const byHand = "gunzip -c | psql -1";
  const measured = await measure(
    [
      { name: byHand, command: shell(`gunzip -c ${dir}/a.gz | ${psql} -1`), env, prepare },
      ...ourRestores(server, dir),
      {
        name: "restore beside",
        // as users do it: the state before is kept. To drop it makes the server write everything to disk first, as the other way never does
        command: restoreFrom(server, folderOf(dir, "backup, gzip")),
        prepare: () => fillCopy(server),
        wanted: [{ atMost: 0.85, of: [byHand] }],
      },
      // what another format would bring: BACKUP_FORMAT=custom is for who finds 1.5 times here
      {
        name: "pg_restore -j2 of a custom-format dump, not all-or-nothing",
        command: [`${server.clientDir}/pg_restore`, "-j2", "-d", "copy", `${dir}/d.dump`],
        env,
        prepare,
      },
    ],
    rounds,
  );
  return table("Restore (into an empty database, but for beside)", measured, byHand);
}
