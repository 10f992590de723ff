/** verify, killed at random moments; and random databases with random changes on the way. FAULTS_SEED repeats. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { clientsWith } from "../support/servers/clients.ts";
import { installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { killer, limit, timed } from "../support/machine/kill.ts";
import { families, type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import type { DatabaseServer } from "../support/servers/server.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
let mysql: MysqlServer[];
beforeAll(async () => {
  server = await startPostgres(15);
  mysql = await Promise.all(families.map((family) => startMysql(family)));
});
afterAll(() => Promise.all([server, ...mysql].map((one) => one.stop())));

const { killInTime, seed } = killer("verify");
const kills = 4;

/** Runs verify, killed several times; the next one proves, and no database, session or file is left. */
async function killLoop(on: DatabaseServer): Promise<void> {
  const scripts = installScripts({ ...on.settings("app"), BACKUP_COMPRESSION: "none" });
  const before = await on.databases();
  expectSuccess(await scripts.run("backup"));
  const usual = await timed(async () => expectSuccess(await scripts.run("verify")));
  for (let i = 0; i < kills; i++) await killInTime(scripts.start("verify"), usual);
  expectSuccess(await scripts.run("verify"));
  expect(await on.databases()).toEqual(before);
  expect(scripts.everything().filter((name) => name.endsWith(".partial"))).toEqual([]);
  scripts.remove();
}

test(
  "PostgreSQL: what a killed proof has left is gone after the next one",
  async () => {
    await server.createDatabase(
      "app",
      "CREATE TABLE large AS SELECT i, md5(i::text) FROM generate_series(1, 100000) i",
    );
    await killLoop(server);
  },
  limit,
);

test.each([...families])(
  "%s: what a killed proof has left is gone after the next one",
  async (family) => {
    const on = mysql[families.indexOf(family)]!;
    const rows = Array.from({ length: 20_000 }, (_, i) => `(${i},'${i * 7919} some words')`).join(",");
    await on.createDatabase("app", `CREATE TABLE large (i int PRIMARY KEY, n text); INSERT INTO large VALUES ${rows}`);
    await killLoop(on);
  },
  limit,
);

/** Rows of a table: an id, and a text without what sed and quoting would make of it. */
const text = fc.string({ unit: fc.constantFrom(...Array.from("abcXYZ019 äß東_-")), maxLength: 12 });
const table = fc.record({
  rows: fc.uniqueArray(fc.tuple(fc.integer({ min: 100_000, max: 999_999 }), text), {
    selector: ([id]) => id,
    minLength: 1,
    maxLength: 30,
  }),
  limit: fc.option(fc.integer({ min: 100_000_000, max: 999_999_999 }), { nil: undefined }),
});
const databaseAndChange = fc.record({
  tables: fc.array(table, { minLength: 1, maxLength: 4 }),
  // which table, which row, and what is done to it
  pick: fc.tuple(fc.nat(), fc.nat()),
  change: fc.constantFrom("id", "missing", "text"),
});

type Shape = typeof databaseAndChange extends fc.Arbitrary<infer T> ? T : never;

const schemaOf = ({ tables }: Shape) =>
  tables
    .map(({ rows, limit: most }, i) => {
      const values = rows.map(([id, words]) => `(${id},'${words}')`).join(",");
      const check = most === undefined ? "" : `, CONSTRAINT small CHECK (id < ${most})`;
      return `CREATE TABLE t${i} (id int, words varchar(40)${check}); INSERT INTO t${i} VALUES ${values};`;
    })
    .join("\n");

/** A sed script that changes one row of one table on its way into the copy. */
function changeOf({ tables, pick: [t, r], change }: Shape): { table: string; sed: string } {
  const index = t % tables.length;
  const { rows } = tables[index]!;
  const [id] = rows[r % rows.length]!;
  const inside = {
    id: `s/^${id}\\t/99${id}\\t/`,
    missing: `/^${id}\\t/d`,
    text: `s/^${id}\\t.*/${id}\\tchanged indeed/`,
  };
  return { table: `t${index}`, sed: `/^COPY public.t${index} /,/^\\\\\\.$/{ ${inside[change]}\n}` };
}

test(
  "a random database is proved, and any random change of one row is found",
  async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(databaseAndChange, async (shape) => {
        const name = `random${run++}`;
        await server.createDatabase(name, schemaOf(shape));
        const scripts = installScripts(server.settings(name));
        expectSuccess(await scripts.run("backup"));
        expectSuccess(await scripts.run("verify"));
        const { table: changed, sed } = changeOf(shape);
        const dir = clientsWith(server.clientDir, { psql: `sed -u '${sed}' | "$REAL" "$@"` });
        const ran = await scripts.run("verify", [], { env: { DB_CLIENT_DIR: dir } });
        expect(ran.status, `${sed}\n${ran.stderr}`).toBe(1);
        expect(ran.stderr).toMatch(new RegExp(`\\bpublic\\.${changed}\\b`));
        scripts.remove();
        await server.dropDatabase(name);
      }),
      { numRuns: 5, seed, endOnFailure: true },
    );
  },
  limit,
);
