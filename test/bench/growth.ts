/** What more tables, backups and databases cost: the time of each must stay as it was, and so must memory. */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeBackup } from "../support/expect/backups.ts";
import { installScripts } from "../support/machine/executables.ts";
import { tempDir } from "../support/machine/temp.ts";
import { cephHere, startCeph } from "../support/servers/ceph.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { type Contender, type Growth, growthTable, measure } from "./measure.ts";

interface Sizes {
  tables: readonly [number, number];
  backups: readonly [number, number];
  databases: readonly [number, number];
}

export async function benchGrowth({ tables, backups, databases }: Sizes, rounds: number): Promise<string> {
  const dir = tempDir("bench-growth");
  // pg_dump locks every table in one transaction
  const server = await startPostgres(15, { max_locks_per_transaction: "512" });
  try {
    return growthTable([
      await ofTables(server, dir, tables, rounds),
      await ofDatabases(server, dir, databases, rounds),
      ...(await ofBackups(dir, backups, rounds)),
      ...(await ofRemoteBackups(dir, backups, rounds)),
    ]);
  } finally {
    rmSync(dir, { recursive: true, force: true });
    await server.stop();
  }
}

/** Measures the same work in both sizes. */
async function grow(
  name: string,
  units: readonly [number, number],
  contender: (count: number) => Omit<Contender, "name"> | Promise<Omit<Contender, "name">>,
  rounds: number,
): Promise<Growth> {
  const both = [];
  for (const count of units) both.push({ name: String(count), ...(await contender(count)) });
  const [small, large] = await measure(both, rounds);
  if (!small || !large) throw new Error("two sizes were to be measured");
  const [from, to] = units.map((count) => count.toLocaleString("en"));
  return { name: `${name}: ${from} → ${to}`, units, measured: [small, large] };
}

const ofTables = (server: PostgresServer, dir: string, units: Sizes["tables"], rounds: number) =>
  grow(
    "backup, tables",
    units,
    async (count) => {
      const name = `tables_${count}`;
      const create = "format('CREATE TABLE t%s (id int PRIMARY KEY, name text)', i)";
      // a transaction each would lock them all
      const statements = `SELECT ${create} FROM generate_series(1, ${count}) AS i\n\\gexec`;
      await server.createDatabase(name, statements);
      return backupInto(join(dir, name), server.settings(name));
    },
    rounds,
  );

const ofDatabases = (server: PostgresServer, dir: string, units: Sizes["databases"], rounds: number) =>
  grow(
    "backup, databases",
    units,
    async (count) => {
      for (let i = 0; i < count; i++)
        await server.createDatabase(`many_${count}_${i}`, "CREATE TABLE a AS SELECT 1 AS id");
      const settings = { ...server.settings("postgres"), DB_NAMES: `many_${count}_*`, BACKUP_ROLES: "false" };
      return backupInto(join(dir, `databases_${count}`), settings);
    },
    rounds,
  );

function backupInto(folder: string, settings: Record<string, string>): Omit<Contender, "name"> {
  const scripts = installScripts({ ...settings, BACKUP_DIR: folder });
  const prepare = async () => rmSync(folder, { recursive: true, force: true });
  return { prepare, command: [join(scripts.dir, "backup")] };
}

/** A folder with so many backups, one a day. */
function fill(folder: string, count: number): void {
  for (let i = 1; i <= count; i++)
    writeBackup(folder, "app", new Date(Date.now() - i * 86_400_000).toISOString().slice(0, 10));
}

async function ofBackups(dir: string, units: Sizes["backups"], rounds: number): Promise<Growth[]> {
  for (const count of units) fill(join(dir, `backups_${count}`), count);
  const listing = (words: string[]) => (count: number) => {
    const scripts = installScripts({ DB_NAME: "app", BACKUP_DIR: join(dir, `backups_${count}`) });
    return { command: [join(scripts.dir, "list"), ...words] };
  };
  return [
    await grow("list, local backups", units, listing([]), rounds),
    await grow("list --all, local backups", units, listing(["--all"]), rounds),
  ];
}

/** What `ofBackups` has made, in a bucket. */
async function ofRemoteBackups(dir: string, units: Sizes["backups"], rounds: number): Promise<Growth[]> {
  if (!cephHere) return [];
  const ceph = await startCeph(4);
  try {
    const bucket = await ceph.newBucket();
    const empty = join(dir, "empty");
    mkdirSync(empty, { mode: 0o700 });
    const folderOf = (count: number) => join(dir, `backups_${count}`);
    const installed = (count: number, folder: string) =>
      installScripts({ ...s3Settings(ceph, bucket, String(count)), DB_NAME: "app", BACKUP_DIR: folder }).dir;
    for (const count of units)
      await measure([{ name: "", command: [join(installed(count, folderOf(count)), "sync")] }], 1);
    const listing = (words: string[]) => (count: number) => ({
      command: [join(installed(count, empty), "list"), ...words],
    });
    return [
      await grow(
        "sync, backups in S3 already",
        units,
        (count) => ({ command: [join(installed(count, folderOf(count)), "sync")] }),
        rounds,
      ),
      await grow("list, backups in S3", units, listing([]), rounds),
      await grow("list --all, backups in S3", units, listing(["--all"]), rounds),
    ];
  } finally {
    await ceph.stop();
  }
}
