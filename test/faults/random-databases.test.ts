/**
 * Random schemas and rows of each engine, with hostile names: backup, proof, restore beside it into a new database, and over the one
 * that has changed since; equal each time, compared by the dump programs. FAULTS_SEED repeats, FAULTS_RUNS says how many.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as mysqlOracle from "../support/expect/mysql-oracle.ts";
import * as postgresOracle from "../support/expect/oracle.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { limit } from "../support/machine/kill.ts";
import { chance } from "../support/machine/random.ts";
import { families, identifier as backquoted, literal as escaped, startMysql } from "../support/servers/mysql.ts";
import { identifier, literal, startPostgres } from "../support/servers/postgres.ts";

const { seed } = chance("random databases");
const numRuns = Number(process.env.FAULTS_RUNS ?? 2);

const words = fc.string({ unit: "binary", maxLength: 40 }).map((text) => text.replaceAll("\0", ""));
const bytes = fc.uint8Array({ maxLength: 40 }).map((all) => Buffer.from(all).toString("hex"));
const whole = fc.integer().map(String);
const big = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const exact = fc
  .tuple(fc.integer({ min: -999_999_999, max: 999_999_999 }), fc.nat({ max: 99_999 }))
  .map(([before, after]) => `${before}.${String(after).padStart(5, "0")}`);
/** Neither too small for a DOUBLE of MySQL nor a negative zero. */
const double = fc
  .double({ noNaN: true, noDefaultInfinity: true })
  .map((number) => (Math.abs(number) < 1e-300 ? 0 : number))
  .map((number) => `${number}`);
const date = fc
  .date({ min: new Date("1001-01-01"), max: new Date("9998-12-31"), noInvalidDate: true })
  .map((when) => when.toISOString().replace("T", " ").replace("Z", "123"));

/** A column's type, and literals of it. */
type Kind = readonly [type: string, values: fc.Arbitrary<string>];

interface Engine {
  start: typeof startPostgres | typeof startMysql;
  kinds: readonly [Kind, ...Kind[]];
  name(text: string): string;
  /** Columns by which such a type can be indexed. */
  indexed(name: string, type: string): string;
}

const quoted = (values: fc.Arbitrary<string>) => values.map((value) => `'${value}'`);
const postgres: Omit<Engine, "start"> = {
  kinds: [
    ["integer", whole],
    ["bigint", big],
    ["text", words.map(literal)],
    ["bytea", bytes.map((hex) => `'\\x${hex}'`)],
    ["numeric(20,5)", exact],
    ["double precision", quoted(fc.oneof(double, fc.constantFrom("NaN", "-Infinity", "-0")))],
    ["timestamptz", quoted(date)],
    ["jsonb", fc.json().map((json) => literal(json.replaceAll("\\u0000", "")))],
    ["text[]", fc.array(words.map(literal), { maxLength: 3 }).map((all) => `ARRAY[${all.join(",")}]::text[]`)],
    ["boolean", fc.constantFrom("true", "false")],
    ["uuid", quoted(fc.uuid())],
    ["bit varying", fc.constantFrom("B''", "B'0101'")],
  ],
  name: identifier,
  indexed: (name, type) => (type === "text" ? `md5(${name})` : name),
};
const mysql: Omit<Engine, "start"> = {
  kinds: [
    ["int", whole],
    ["bigint", big],
    ["varchar(200)", words.map(escaped)],
    ["longtext", words.map(escaped)],
    ["blob", bytes.map((hex) => `x'${hex}'`)],
    ["decimal(20,5)", exact],
    ["double", double],
    ["datetime(6)", quoted(date.map((text) => text.slice(0, 26)))],
    ["json", fc.json({ noUnicodeString: false, maxDepth: 2 }).map(escaped)],
    ["bit(9)", fc.constantFrom("b'0'", "b'101010101'")],
    ["enum('a','it''s','ü')", fc.constantFrom("'a'", "'it''s'", "'ü'")],
    ["char(5) character set latin1", fc.constantFrom("'é'", "' x'", "''")],
  ],
  name: backquoted,
  indexed: (name, type) => (/text|blob/.test(type) ? `${name}(9)` : name),
};

/** No two are the same where case or spaces do not count. */
const name = fc
  .string({ unit: fc.constantFrom(...Array.from("aBz_ -;%$ü.\"`'\\/*#{")), minLength: 1, maxLength: 14 })
  .map((text) => `x${text}x`);
const names = (most: number) =>
  fc.uniqueArray(name, { selector: (text) => text.toLowerCase(), minLength: 1, maxLength: most });

interface Table {
  name: string;
  columns: { name: string; type: string; indexed: boolean; nullable: boolean }[];
  rows: string[][];
  key: boolean;
  refers: boolean;
  seen: boolean;
  doubled: boolean;
}

function tableOf({ kinds }: Omit<Engine, "start">, called: string): fc.Arbitrary<Table> {
  return names(5)
    .chain((columns) =>
      fc.tuple(
        fc.constant(columns),
        fc.array(fc.constantFrom(...kinds), { minLength: columns.length, maxLength: columns.length }),
      ),
    )
    .chain(([columns, types]) =>
      fc.record({
        name: fc.constant(called),
        columns: fc.tuple(
          ...columns.map((column, i) =>
            fc.record({
              name: fc.constant(column),
              type: fc.constant(types[i]?.[0] ?? ""),
              indexed: fc.boolean(),
              nullable: fc.boolean(),
            }),
          ),
        ),
        rows: fc.array(fc.tuple(...types.map(([, values]) => values)), { maxLength: 20 }),
        key: fc.boolean(),
        refers: fc.boolean(),
        seen: fc.boolean(),
        doubled: fc.boolean(),
      }),
    );
}

/** SQL that makes the tables; each has a column `id`, and can refer to the first one. */
function schemaOf({ name: quote, indexed }: Omit<Engine, "start">, tables: readonly Table[]): string {
  const [first] = tables;
  return tables
    .flatMap((table, t) => {
      const called = quote(table.name);
      const columns = table.columns.map((one) => `${quote(one.name)} ${one.type}${one.nullable ? "" : " NOT NULL"}`);
      const more = [
        ...(table.key || t === 0 ? ["PRIMARY KEY (id)"] : []),
        ...(table.refers && first
          ? [`CONSTRAINT refers${t} FOREIGN KEY (id) REFERENCES ${quote(first.name)} (id)`]
          : []),
        ...(table.doubled ? ["CHECK (id >= 0)"] : []),
      ];
      const generated = table.doubled ? ["twice int GENERATED ALWAYS AS (id * 2) STORED"] : [];
      const rows = table.rows.map((values, id) => `(${[id, ...values].join(", ")})`);
      const into = [`id`, ...table.columns.map((one) => quote(one.name))].join(", ");
      return [
        `CREATE TABLE ${called} (${["id int NOT NULL", ...columns, ...generated, ...more].join(", ")})`,
        ...table.columns.flatMap((one, i) =>
          one.indexed && !/json|\[\]|bit/.test(one.type)
            ? [`CREATE INDEX i${t}_${i} ON ${called} (${indexed(quote(one.name), one.type)})`]
            : [],
        ),
        ...(rows.length > 0 ? [`INSERT INTO ${called} (${into}) VALUES ${rows.join(", ")}`] : []),
        ...(table.seen ? [`CREATE VIEW seen${t} AS SELECT * FROM ${called} WHERE id > 1`] : []),
      ];
    })
    .map((statement) => `${statement};\n`)
    .join("");
}

const databaseOf = (engine: Omit<Engine, "start">) =>
  names(4)
    .chain((called) => fc.tuple(...called.map((one) => tableOf(engine, one))))
    // what the first one lacks, the others cannot refer to
    .map((tables) =>
      tables.map((table) => ({ ...table, refers: table.refers && table.rows.length <= (tables[0]?.rows.length ?? 0) })),
    )
    .map((tables) => tables.map((table, t) => (t === 0 ? { ...table, refers: false } : table)));

const worlds = {
  postgresql: async () => {
    const server = await startPostgres(15);
    return { ...server, engine: postgres, stateOf: (database: string) => postgresOracle.stateOf(server, database) };
  },
  ...Object.fromEntries(
    families.map((family) => [
      family,
      async () => {
        const server = await startMysql(family);
        return { ...server, engine: mysql, stateOf: (database: string) => mysqlOracle.stateOf(server, database) };
      },
    ]),
  ),
};

describe.each(Object.entries(worlds))("%s", (_, start) => {
  let world: Awaited<ReturnType<typeof start>>;
  let scripts: Installation;
  beforeAll(async () => {
    world = await start();
    scripts = installScripts();
  });
  afterEach(() => scripts.remove());
  afterAll(() => world.stop());

  test(
    "a random database is proved, and restored as it was",
    async () => {
      let run = 0;
      const expectEqual = async (before: postgresOracle.State, database: string) =>
        postgresOracle.expectSame(database, before, await world.stateOf(database));
      await fc.assert(
        fc.asyncProperty(databaseOf(world.engine), async (tables) => {
          const database = `random${run++}`;
          await world.createDatabase(database, schemaOf(world.engine, tables));
          const before = await world.stateOf(database);
          scripts.configure(world.settings(database));
          expectSuccess(await scripts.run("backup"));
          expectSuccess(await scripts.run("verify"));
          expectSuccess(await scripts.run("restore", ["--into", `${database}_copy`, "--yes"]));
          await expectEqual({ ...before }, `${database}_copy`);
          await world.sql(
            database,
            `DELETE FROM ${world.engine.name(tables.at(-1)?.name ?? "")}; CREATE TABLE younger (id int)`,
          );
          const again = await world.stateOf(database);
          expect(again.sha256).not.toBe(before.sha256);
          expectSuccess(await scripts.run("restore", ["--drop-before", "--yes"]));
          await expectEqual(before, database);
          for (const name of [database, `${database}_copy`]) await world.dropDatabase(name);
        }),
        { numRuns, seed, endOnFailure: true },
      );
    },
    limit,
  );
});
