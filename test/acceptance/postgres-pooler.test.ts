/** R4: PgBouncer between us and the server. What it lends to us for one transaction, the application gets afterwards. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { fetchPgbouncer, type Pooler, startPgbouncer } from "../support/servers/pgbouncer.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
const poolers: Pooler[] = [];
beforeAll(async () => {
  fetchPgbouncer();
  server = await startPostgres(15);
});
afterAll(async () => {
  for (const pooler of poolers) await pooler.stop();
  await server.stop();
});

const warning = "a pooler lies between this machine and the server and lends its sessions for one transaction";

/** A database of 100 rows, the scripts that reach it through a new pooler, and what an application there sees. */
async function behind(mode: "transaction" | "session", database: string, size?: number) {
  await server.createDatabase(database, "CREATE TABLE t AS SELECT generate_series(1, 100) AS a");
  const pooler = await startPgbouncer(server, mode, size);
  poolers.push(pooler);
  const scripts = installScripts({ ...server.settings(database), DB_PORT: String(pooler.port) });
  const ask = async (sql: string) => {
    const env = { ...server.env(database), PGOPTIONS: "", PGPORT: String(pooler.port) };
    const child = Bun.spawn(["psql", "-XAtqc", sql], { env, stdout: "pipe", stderr: "pipe" });
    return `${await child.stdout.text()}${await child.stderr.text()}`.trim();
  };
  return { ...scripts, ask };
}

test("R4: a dry run leaves the application's sessions as they are, and names the pooler", async () => {
  const { run, ask } = await behind("transaction", "dry");
  const ran = await run("backup", ["--dry-run"]);
  expectSuccess(ran);
  expect(ran.stderr).toContain(warning);
  for (let session = 0; session < 4; session++) {
    expect(await ask("SELECT count(*) FROM t")).toBe("100");
    expect(await ask("SELECT concat_ws(' ', current_setting('search_path'), current_setting('row_security'))")).toBe(
      '"$user", public on',
    );
  }
});

test("R4: backup, restore and verify work through a pooler of transactions, and name it", async () => {
  const { run } = await behind("transaction", "shop");
  const rows = () => server.sql("shop", "SELECT count(*) FROM public.t");
  const backup = await run("backup");
  expectSuccess(backup);
  expect(backup.stderr).toContain(warning);
  // a lock that the pooler keeps would refuse the second run
  for (const words of [[], ["--in-place"], []]) {
    await server.sql("shop", "DELETE FROM public.t");
    const ran = await run("restore", words);
    expectSuccess(ran);
    expect(ran.stderr).toContain(`no lock on the server: ${warning}`);
    expect(await rows()).toBe("100");
  }
  for (let round = 0; round < 2; round++) expectSuccess(await run("verify", [backup.stdout.trim()]));
});

test.each([
  ["whole", 10],
  ["narrow", 2],
])("R4: a pooler of sessions is no pooler to us: %s, with %d sessions", async (database, size) => {
  const { run } = await behind("session", database, size);
  for (const script of ["backup", "restore", "verify", "restore"] as const) {
    const ran = await run(script);
    expectSuccess(ran);
    expect(ran.stderr).not.toContain("WARN");
  }
  expect(await server.sql(database, "SELECT count(*) FROM public.t")).toBe("100");
});
