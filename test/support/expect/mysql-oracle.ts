/** The oracle of a round trip for MySQL and MariaDB: two states are the same when dumps and table checksums are. */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../servers/debian.ts";
import { dumpName, identifier, type MysqlServer } from "../servers/mysql.ts";
import { expectSame, hashOf, type State } from "./oracle.ts";
import { tempDir } from "../machine/temp.ts";

/** Account that owns things in the nasty database. */
const owner = "'nasty_owner'@'localhost'";

/** Creates the nasty database of that family, and the account that it names, which belongs to the whole server. */
export async function createNasty(server: MysqlServer, name: string): Promise<void> {
  await server.sql("mysql", `CREATE USER IF NOT EXISTS ${owner}`);
  const parts = ["nasty-mysql-common.sql", server.family === "mysql" ? "nasty-mysql.sql" : "nasty-mariadb.sql"];
  const text = parts.map((part) => readFileSync(join(import.meta.dir, part), "utf8")).join("\n");
  await server.createDatabase(name, text);
}

/** The state of a database: tables, rows (also such as are hidden or history), views, programs, triggers. */
export async function stateOf(server: MysqlServer, database: string): Promise<State> {
  const file = join(tempDir("state"), "dump.sql");
  const words = ["--routines", "--events", "--triggers", "--hex-blob", "--order-by-primary", "--skip-extended-insert"];
  const same = ["--skip-comments", "--skip-add-locks", "--single-transaction", "--max-allowed-packet=1G"];
  const own = { mariadb: ["--dump-history"], mysql: ["--set-gtid-purged=OFF"] }[server.family];
  const all = [...words, ...same, ...own, "--default-character-set=utf8mb4", `--result-file=${file}`, database];
  await server.client(dumpName(server.family), all);
  // MySQL remembers whether a column was declared with its character set or with the collation alone, which implies it
  run(["sed", "-i", "s/ CHARACTER SET [a-z0-9]* COLLATE / COLLATE /", file]);
  appendFileSync(file, await checksums(server, database));
  return { file, sha256: await hashOf(file) };
}

/** By the server itself: a dump that left a column out would not show that it is missing. */
async function checksums(server: MysqlServer, database: string): Promise<string> {
  const names = await server.sql(database, "SHOW FULL TABLES WHERE table_type NOT IN ('VIEW', 'SEQUENCE')");
  // the checksum of a table with a key over a JSON array is another one each time
  const tables = names.split("\n").flatMap((line) => line.split("\t")[0]?.replace(/^functional$/, "") || []);
  if (tables.length === 0) return "";
  const said = await server.sql(database, `CHECKSUM TABLE ${tables.map(identifier).join(", ")} EXTENDED`);
  // without the database's name before each table's
  return said.replaceAll(/^[^.]*\./gm, "");
}

/** Fails with the first lines that differ, unless the database is as it was. */
export async function expectState(server: MysqlServer, database: string, before: State): Promise<void> {
  expectSame(database, before, await stateOf(server, database));
}
