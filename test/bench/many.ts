/** backup of many small databases of a server beside a loop over a dump program. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { installScripts } from "../support/machine/executables.ts";
import { type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import type { DatabaseServer } from "../support/servers/server.ts";
import { tempDir } from "../support/machine/temp.ts";
import { measure, table } from "./measure.ts";

export async function benchMany(count: number, rounds: number): Promise<string> {
  await using servers = new AsyncDisposableStack();
  const kept = <S extends DatabaseServer>(server: S) => servers.adopt(server, (one) => one.stop());
  const postgres: PostgresServer = kept(await startPostgres(15));
  const mariadb: MysqlServer = kept(await startMysql("mariadb"));
  const pgDump = `${postgres.clientDir}/pg_dump`;
  const mariadbDump = `mariadb-dump --defaults-file=${mariadb.loginFile} --single-transaction`;
  return [
    await compare(postgres, count, rounds, { title: "PostgreSQL", admin: "postgres", dump: pgDump, atMost: 1.3 }),
    await compare(mariadb, count, rounds, { title: "MariaDB", admin: "mysql", dump: mariadbDump }),
  ].join("\n");
}

interface Side {
  title: string;
  admin: string;
  /** What dumps the database whose name follows. */
  dump: string;
  /** How many times as long as by hand it may take. */
  atMost?: number;
}

async function compare(
  server: PostgresServer | MysqlServer,
  count: number,
  rounds: number,
  { title, admin, dump, atMost }: Side,
): Promise<string> {
  const dir = tempDir("bench-many");
  const names = Array.from({ length: count }, (_, i) => `many_${i}`);
  for (const name of names) await server.createDatabase(name, "CREATE TABLE a (id int); INSERT INTO a VALUES (1)");
  const settings = { ...server.settings(admin), DB_NAMES: "many_*", BACKUP_ROLES: "false", BACKUP_DIR: `${dir}/ours` };
  const loop = `for name in ${names.join(" ")}; do ${dump} $name | gzip > ${dir}/$name.gz; done`;
  const byHand = `${count} times dump | gzip`;
  const measured = await measure(
    [
      {
        name: "backup",
        prepare: async () => rmSync(`${dir}/ours`, { recursive: true, force: true }),
        command: [join(installScripts(settings).dir, "backup")],
        wanted: atMost === undefined ? [] : [{ atMost, of: [byHand] }],
      },
      { name: byHand, command: ["sh", "-c", loop], ...("env" in server && { env: server.env(admin) }) },
    ],
    rounds,
  );
  rmSync(dir, { recursive: true, force: true });
  return table(`${count} small databases of ${title}`, measured, byHand);
}
