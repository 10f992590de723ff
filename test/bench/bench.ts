/**
 * Side by side with what people use instead, in one run: ratios count, the seconds are this machine's.
 *   bun run bench [SECTION…]      sections: database, storage; all when none is named
 *   BENCH_ROWS, BENCH_ROUNDS      size of the database (5,000,000 rows are about 1 GB of SQL) and number of rounds
 */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { aptInstall } from "../support/setup.ts";
import { benchDatabase } from "./database.ts";
import { benchStorage } from "./storage.ts";

const rows = Number(process.env.BENCH_ROWS ?? 5_000_000);
const rounds = Number(process.env.BENCH_ROUNDS ?? 5);

const sections: Record<string, () => Promise<string>> = {
  database: () => benchDatabase(rows, rounds),
  storage: () => benchStorage(rounds),
};

const programs = { pg_dump: "postgresql-client", gzip: "gzip", pigz: "pigz", zstd: "zstd", rclone: "rclone" };
const missing = Object.entries(programs).filter(([program]) => !Bun.which(program));
if (missing.length > 0) {
  aptInstall(
    missing.map(([, name]) => name),
    missing.map(([program]) => program),
  );
}
const wanted = process.argv.slice(2);
const parts: string[] = [
  `# Measured`,
  "",
  `${new Date().toISOString().slice(0, 10)}, ${availableParallelism()} cores, Bun ${Bun.version}, medians of ${rounds} rounds.`,
  "",
];
for (const [name, section] of Object.entries(sections)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const text = await section();
  console.log(text);
  parts.push(text);
}
await Bun.write(join(import.meta.dir, "RESULTS.md"), parts.join("\n"));
