/** backup and restore beside what people use instead, on a generated PostgreSQL database and its real clients. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { installScripts } from "../support/executables.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { tempDir } from "../support/temp.ts";
import { type Contender, measure, table } from "./measure.ts";

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

const shell = (command: string) => ["sh", "-c", `set -e; ${command}`];

export async function benchDatabase(rows: number, rounds: number): Promise<string> {
  const server = await startPostgres(15, { max_wal_size: "8GB", checkpoint_timeout: "1h" });
  const dir = tempDir("bench");
  try {
    await server.createDatabase("bench", sample(rows));
    await server.createDatabase("copy");
    return [await benchBackup(server, dir, rounds), await benchRestore(server, dir, rounds)].join("\n");
  } finally {
    rmSync(dir, { recursive: true, force: true });
    await server.stop();
  }
}

async function benchBackup(server: PostgresServer, dir: string, rounds: number): Promise<string> {
  const dump = `${server.clientDir}/pg_dump --clean --if-exists`;
  const env = server.env("bench");
  const to = (file: string) => ({ env, size: () => statSync(join(dir, file)).size });
  const ours = (name: string, settings: Record<string, string>): Contender => {
    const scripts = installScripts({ ...server.settings("bench"), BACKUP_DIR: join(dir, name), ...settings });
    return {
      name,
      prepare: async () => rmSync(join(dir, name), { recursive: true, force: true }),
      command: [join(scripts.dir, "backup")],
      size: () => Math.max(...readdirSync(join(dir, name)).map((file) => statSync(join(dir, name, file)).size)),
    };
  };
  const measured = await measure(
    [
      { name: "pg_dump > /dev/null", command: shell(`${dump} > /dev/null`), env },
      { name: "pg_dump | gzip -6", command: shell(`${dump} | gzip -6 > ${dir}/a.gz`), ...to("a.gz") },
      { name: "pg_dump | pigz -6", command: shell(`${dump} | pigz -6 > ${dir}/b.gz`), ...to("b.gz") },
      { name: "pg_dump | zstd -3 -T2", command: shell(`${dump} | zstd -q -3 -T2 > ${dir}/c.zst`), ...to("c.zst") },
      ours("backup, gzip", {}),
      ours("backup, zstd", { BACKUP_COMPRESSION: "zstd" }),
    ],
    rounds,
  );
  return table("Backup", measured, "pg_dump | pigz -6");
}

async function benchRestore(server: PostgresServer, dir: string, rounds: number): Promise<string> {
  const psql = `${server.clientDir}/psql -qX -v ON_ERROR_STOP=1`;
  const prepare = async () => {
    await server.dropDatabase("copy");
    await server.createDatabase("copy");
  };
  const ours = (name: string, folder: string): Contender => {
    const scripts = installScripts({ ...server.settings("copy") });
    const file = readdirSync(join(dir, folder)).find(
      (entry) => /^[^.].*\.sql\.\w+$/.test(entry) && !entry.endsWith(".json"),
    );
    return { name, prepare, command: [join(scripts.dir, "restore"), join(dir, folder, file ?? ""), "--yes"] };
  };
  const env = server.env("copy");
  const measured = await measure(
    [
      { name: "gunzip -c | psql -1", command: shell(`gunzip -c ${dir}/a.gz | ${psql} -1`), env, prepare },
      ours("restore, gzip", "backup, gzip"),
      ours("restore, zstd", "backup, zstd"),
    ],
    rounds,
  );
  return table("Restore (into an empty database)", measured, "gunzip -c | psql -1");
}
