/** A MySQL server and its client programs in `.cache/mysql/`: Debian's stable releases have MariaDB alone. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cache, fetchPackages, run, writeWrappers } from "./debian.ts";

/** Folder of mysqld, mysql and mysqldump; the two are a value for DB_CLIENT_DIR. */
export const mysqlDir = join(cache, "mysql");
/** What belongs to them: messages, character sets, plugins. */
export const mysqlRoot = join(cache, "mysql-root");

/** Fetches them where they are not there yet (a download of 55 MB). What it returns went wrong. */
export function fetchMysql(): string | undefined {
  if (hasMysql()) return undefined;
  if (!Bun.which("apt-get")) return "no MySQL server, and no apt-get to fetch one";
  console.error("fetching MySQL …");
  try {
    fetchPackages(mysqlRoot, {
      suites: ["sid"],
      packages: ["mysql-server-core", "mysql-client-core"],
      wanted: /^(lib(?!perl|db5|gdbm)|mysql-(server|client)-core|zlib1g)/,
    });
    writeWrappers(mysqlRoot, mysqlDir, ["usr/sbin/mysqld", "usr/bin/mysql", "usr/bin/mysqldump"]);
    return hasMysql() ? undefined : "MySQL was fetched but does not run";
  } catch (error) {
    return `no MySQL server: ${String(error)}`;
  }
}

/** Whether they are there and run. */
export function hasMysql(): boolean {
  const program = join(mysqlDir, "mysqldump");
  return existsSync(program) && run([program, "--version"]).includes("Ver ");
}
