/**
 * Side by side with what people use instead, in one run: ratios count, the seconds are this machine's.
 *   bun run bench [SECTION…]      sections are listed below; all when none is named
 *   BENCH_ROWS, BENCH_ROUNDS      size of the database (5,000,000 rows are about 1 GB of SQL) and number of rounds
 *   BENCH_MYSQL_ROWS              rows of each of MariaDB's two tables
 *   BENCH_LARGE_ROWS              size of the large database whose memory is measured (default: 4 GB)
 *   BENCH_GROWTH                  the larger sizes: tables, backups, databases (default: 10000,10000,200)
 * About half an hour on two cores: BENCH_ROUNDS=3 BENCH_ROWS=2000000 BENCH_MYSQL_ROWS=1000000 BENCH_LARGE_ROWS=4500000.
 * Needs up to 25 GB of disk, and up to 16 GB of memory for the S3 server.
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { aptInstall } from "../support/setup.ts";
import { benchBackup, benchMemory, benchRestore, benchSealing, benchVerify } from "./database.ts";
import { benchGrowth } from "./growth.ts";
import { benchMany } from "./many.ts";
import { benchMysql } from "./mysql.ts";
import { benchPeers } from "./peers.ts";
import { benchStart } from "./start.ts";
import { benchStorage } from "./storage.ts";

const rows = Number(process.env.BENCH_ROWS ?? 5_000_000);
const mysqlRows = Number(process.env.BENCH_MYSQL_ROWS ?? 2_000_000);
const largeRows = Number(process.env.BENCH_LARGE_ROWS ?? 18_000_000);
const rounds = Number(process.env.BENCH_ROUNDS ?? 5);

const [manyTables = 10_000, manyBackups = 10_000, manyDatabases = 200] =
  process.env.BENCH_GROWTH?.split(",").map(Number) ?? [];
const growth = {
  tables: [100, manyTables],
  backups: [10, manyBackups],
  databases: [1, manyDatabases],
} as const;

const sections: Record<string, () => Promise<string>> = {
  start: () => benchStart(4 * rounds),
  storage: () => benchStorage(rounds),
  backup: () => benchBackup(rows, rounds),
  restore: () => benchRestore(rows, rounds),
  verify: () => benchVerify(rows, rounds),
  sealing: () => benchSealing(rows, rounds),
  mysql: () => benchMysql(mysqlRows, rounds),
  peers: () => benchPeers(rows, rounds),
  many: () => benchMany(manyDatabases, rounds),
  growth: () => benchGrowth(growth, rounds),
  memory: () => benchMemory([450_000, largeRows]),
};

const programs = {
  pg_dump: "postgresql-client",
  gzip: "gzip",
  pigz: "pigz",
  zstd: "zstd",
  rclone: "rclone",
  restic: "restic",
  pgbackrest: "pgbackrest",
};
const missing = Object.entries(programs).filter(([program]) => !Bun.which(program));
if (missing.length > 0) {
  aptInstall(
    missing.map(([, name]) => name),
    missing.map(([program]) => program),
  );
}
/** First line of what a program says of its version. */
function versionOf(command: string): string {
  const { stdout, stderr } = Bun.spawnSync(["sh", "-c", `${command} --version || ${command} version`], {
    stderr: "pipe",
  });
  return `${stdout.toString()}${stderr.toString()}`.split("\n")[0] ?? "";
}

const wanted = process.argv.slice(2);
const versions = ["pg_dump", "gzip", "pigz", "zstd", "aws", "rclone", "restic", "pgbackrest"].filter((program) =>
  Bun.which(program),
);
const parts: string[] = [
  `# Measured`,
  "",
  `${new Date().toISOString().slice(0, 10)}, ${availableParallelism()} cores, Bun ${Bun.version}, medians of ${rounds} rounds ` +
    `(the start: ${4 * rounds}; memory: one run each). ${versions.map(versionOf).join("; ")}.`,
  "",
];
const unknown = wanted.filter((name) => !Object.hasOwn(sections, name));
if (unknown.length > 0)
  throw new Error(`no section ${unknown.join(", ")}; there are ${Object.keys(sections).join(", ")}`);
for (const [name, section] of Object.entries(sections)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const began = Date.now();
  // a section that fails costs only itself
  const text = await section().catch((error: unknown) => {
    process.exitCode = 1;
    return `### ${name}: failed\n\n${String(error)}\n`;
  });
  console.log(text);
  console.error(`${name}: ${((Date.now() - began) / 60_000).toFixed(1)} minutes`);
  parts.push(text);
  await Bun.write(join(import.meta.dir, "RESULTS.md"), parts.join("\n"));
}
