/** backup and restore of MariaDB beside what people use instead, and what reading its own dump costs it. */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { dumpReader } from "../../scripts-src/database/mysql/contents.ts";
import { readDump } from "../../scripts-src/database/read-dump.ts";
import { backupName, installScripts } from "../support/machine/executables.ts";
import { type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import { tempDir } from "../support/machine/temp.ts";
import { type Contender, measure, table } from "./measure.ts";

/** Short and ordinary rows, `rows` of each; 2 million are about 260 MB of SQL. */
const sample = (rows: number) => `
  CREATE TABLE numbers (id int PRIMARY KEY, a int, b int);
  INSERT INTO numbers SELECT seq, seq * 7 % 1000003, seq % 97 FROM seq_1_to_${rows};
  CREATE TABLE customers (id int PRIMARY KEY, name varchar(60), mail varchar(60), at datetime, n decimal(10,2));
  INSERT INTO customers SELECT seq, concat('Customer ', md5(seq)), concat('user', seq, '@example.com'),
    '2024-01-01' + INTERVAL seq SECOND, seq / 7 FROM seq_1_to_${rows};`;

/** Reading was wanted at most 0.2 times as long as the backup takes. */
export async function benchMysql(rows: number, rounds: number): Promise<string> {
  const server = await startMysql("mariadb");
  const dir = tempDir("bench-mysql");
  try {
    await server.createDatabase("bench", sample(rows));
    const measured = await measure(contenders(server, dir), rounds);
    const backup = measured.find(({ name }) => name === "backup, gzip")?.wall ?? NaN;
    const seconds = await readingTime(server, join(dir, "dump.sql"), rounds);
    await server.createDatabase("copy");
    const restored = await measure(restores(server, dir), rounds);
    return [
      table(`Backup of MariaDB, 2 × ${rows.toLocaleString("en")} rows`, measured, "backup, gzip"),
      table("Restore of MariaDB, beside what the database holds", restored, byHand),
      `Reading the dump to its end takes ${seconds.toFixed(2)} s of CPU time, ${(seconds / backup).toFixed(2)} times the backup.`,
      "",
    ].join("\n");
  } finally {
    rmSync(dir, { recursive: true, force: true });
    await server.stop();
  }
}

function contenders(server: MysqlServer, dir: string): Contender[] {
  const folder = join(dir, "backups");
  const scripts = installScripts({ ...server.settings("bench"), BACKUP_DIR: folder });
  const piped = (name: string, packer: string, file: string): Contender => {
    const dump = `mariadb-dump --defaults-file=${server.loginFile} --single-transaction --quick bench`;
    const command = ["sh", "-c", `${dump} | ${packer} > ${dir}/${file}`];
    return { name, command, size: () => statSync(join(dir, file)).size };
  };
  return [
    {
      name: "backup, gzip",
      prepare: async () => rmSync(folder, { recursive: true, force: true }),
      command: [join(scripts.dir, "backup")],
      wanted: [{ atMost: 0.75, of: ["mariadb-dump | pigz -6"] }],
      size: () => Math.max(...readdirSync(folder).map((file) => statSync(join(folder, file)).size)),
    },
    piped("mariadb-dump | gzip -6", "gzip -6", "a.gz"),
    piped("mariadb-dump | pigz -6", "pigz -6", "b.gz"),
  ];
}

const byHand = "gunzip -c | mariadb";

function restores(server: MysqlServer, dir: string): Contender[] {
  const folder = join(dir, "backups");
  const scripts = installScripts({ ...server.settings("copy"), BACKUP_DIR: folder });
  const newest = readdirSync(folder).find((entry) => backupName.test(entry)) ?? "";
  const prepare = async () => {
    await server.dropDatabase("copy");
    await server.createDatabase("copy", "CREATE TABLE old (id int)");
  };
  const command = ["sh", "-c", `gunzip -c ${dir}/a.gz | mariadb --defaults-file=${server.loginFile} copy`];
  return [
    { name: byHand, prepare, command },
    {
      name: "restore beside, gzip",
      prepare,
      command: [join(scripts.dir, "restore"), join(folder, newest), "--yes", "--drop-before"],
      wanted: [{ atMost: 0.8, of: [byHand] }],
    },
  ];
}

/** Seconds of CPU time beyond those of reading the file; the best of `rounds`. */
async function readingTime(server: MysqlServer, file: string, rounds: number): Promise<number> {
  await server.client("mariadb-dump", ["--single-transaction", "--quick", `--result-file=${file}`, "bench"]);
  const cpu = async (work: () => Promise<unknown>) => {
    const before = process.cpuUsage();
    await work();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1e6;
  };
  const chunks = () => Bun.file(file).stream();
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const alone = await cpu(async () => {
      for await (const _ of chunks());
    });
    times.push((await cpu(() => readDump(dumpReader(), chunks()))) - alone);
  }
  return Math.min(...times);
}
