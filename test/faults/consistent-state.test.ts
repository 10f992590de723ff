/** A backup holds one state: what is moved from one table to another while it is being dumped is in exactly one of them. */
import { expect, test } from "bun:test";
import { installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { pausingDump } from "../support/servers/clients.ts";
import { clientName, dumpName, families, startMysql } from "../support/servers/mysql.ts";
import { startPostgres } from "../support/servers/postgres.ts";
import { sha256 } from "../support/servers/storage.ts";

const rows = Array.from({ length: 8_000 }, (_, i) => `(${i + 1}, 1, '${sha256(Buffer.from(String(i)))}')`);
const content = `
  CREATE TABLE a_first (id int PRIMARY KEY, amount int, noise text); INSERT INTO a_first VALUES ${rows.join(", ")};
  CREATE TABLE z_last (amount int); INSERT INTO z_last VALUES (0);`;
const transfer = "BEGIN; UPDATE a_first SET amount = 0 WHERE id = 8000; UPDATE z_last SET amount = 1; COMMIT;";
const total = "SELECT (SELECT sum(amount) FROM a_first), (SELECT sum(amount) FROM z_last)";

const engines = [
  ["PostgreSQL", () => startPostgres(15), ["pg_dump", "psql"]],
  ...families.map((family) => [family, () => startMysql(family), [dumpName(family), clientName(family)]] as const),
] as const;

test.each(engines)(
  "%s: what is written while a backup runs is not in it, or is in it as a whole",
  async (_, start, programs) => {
    const server = await start();
    await server.createDatabase("app", content);
    // in the first table, far from its end: what a pipe holds is in no backup yet
    const dump = pausingDump(server.clientDir, 50_000, [...programs]);
    const scripts = installScripts({ ...server.settings("app"), DB_CLIENT_DIR: dump.clientDir });
    const running = scripts.start("backup");
    await dump.paused();
    await server.sql("app", transfer);
    dump.resume();
    const ran = await running.done;
    expectSuccess(ran);
    scripts.configure(server.settings("app"));
    expectSuccess(await scripts.run("restore", [ran.stdout.trim(), "--into", "app_look"]));
    expect((await server.sql("app_look", total)).split(/[|\t]/)).toEqual(["8000", "0"]);
    scripts.remove();
    await server.stop();
  },
);
