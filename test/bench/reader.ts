/** Reads a plain dump of pg_dump as backup and restore do, and does nothing else: `bun test/bench/reader.ts FILE`. */
import { readDump } from "../../scripts-src/database/read-dump.ts";
import { dumpReader } from "../../scripts-src/database/postgres/reader.ts";

const file = process.argv[2] ?? "";
const { tables, rows, bytes } = await readDump(dumpReader(), Bun.file(file).stream());
const all = [...(rows?.values() ?? [])].reduce((sum, count) => sum + count, 0);
console.log(`${tables.length} tables, ${all} rows, ${bytes} bytes`);
