import { describe, expect, test } from "bun:test";
import { fittingClient, knowsRestrict } from "../../scripts-src/database/postgres/clients.ts";
import { DumpContents, readPiece } from "../../scripts-src/database/postgres/contents.ts";
import { LoadFilter } from "../../scripts-src/database/postgres/filter.ts";
import { dumpForm } from "../../scripts-src/database/postgres/reader.ts";
import type { Piece } from "../../scripts-src/database/postgres/statements.ts";
import { kindOf } from "../../scripts-src/database/read-dump.ts";

const statement = (text: string): Piece => ({ kind: "statement", text, bytes: Buffer.from(`\n${text}`) });
const rules = {
  noOwner: false,
  oneTransaction: true,
  asleep: false,
  withoutCron: false,
  user: "app",
  superuser: true,
  foreignRoles: new Set<string>(),
  major: 15,
  keptSchemas: new Map<string, "ours" | "foreign">(),
  keptRelations: new Set<string>(),
  keptRoutines: new Set<string>(),
  keptExtensions: new Set<string>(),
  mappings: new Map<string, string | null>(),
  leftOut: new Set<string>(),
};
const loads = (text: string, changed: Partial<typeof rules> = {}) => {
  const filter = new LoadFilter({ ...rules, ...changed });
  return (filter.piece(statement(text))?.bytes.toString() ?? "") + filter.atTheEnd.join("");
};

describe("what a load leaves out", () => {
  const ownership = [
    "ALTER TABLE public.t OWNER TO app;",
    'ALTER FUNCTION public.f(a integer, b text) OWNER TO "Odd ""role""";',
    "ALTER LARGE OBJECT 16450 OWNER TO app;",
    "GRANT SELECT ON TABLE public.t TO reader;",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC;",
    "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT SELECT ON TABLES TO reader;",
  ];
  test.each(ownership)("--no-owner leaves out %p", (text) => {
    expect(loads(text, { noOwner: true })).toBe("");
    expect(loads(text)).toContain(text);
  });

  const notOwnership = [
    "COMMENT ON TABLE public.t IS 'see ALTER TABLE x OWNER TO y;';",
    "ALTER TABLE ONLY public.t ALTER COLUMN a SET DEFAULT ' OWNER TO b';",
    "ALTER TABLE ONLY public.t ADD CONSTRAINT c CHECK ((a <> ' OWNER TO b'));",
    "CREATE FUNCTION public.f() RETURNS void LANGUAGE sql AS $$ GRANT SELECT ON t TO x; $$;",
    "INSERT INTO public.t VALUES ('GRANT ALL ON x TO y;');",
  ];
  test.each(notOwnership)("--no-owner keeps %p", (text) => expect(loads(text, { noOwner: true })).toContain(text));

  test("the transaction around large objects would end ours", () => {
    expect(loads("BEGIN;")).toBe("");
    expect(loads("COMMIT;")).toBe("");
  });

  test("another owner may create in the schema while it becomes one", () => {
    const filter = new LoadFilter({ ...rules, superuser: false, keptSchemas: new Map([["public", "foreign"]]) });
    const loaded = (text: string) => filter.piece(statement(text))?.bytes.toString();
    const given = 'ALTER FUNCTION "S".f() OWNER TO grp;';
    for (const text of [
      'ALTER SCHEMA "S" OWNER TO other;',
      'ALTER TABLE "S".t OWNER TO app;',
      "ALTER TABLE public.t OWNER TO grp;",
    ])
      expect(loaded(text)).toBe(`\n${text}`);
    expect(loaded(given)).toBe(`\nGRANT CREATE ON SCHEMA "S" TO grp;\n${given}\nREVOKE CREATE ON SCHEMA "S" FROM grp;`);
    expect(loaded('ALTER TABLE "S".t OWNER TO other;')).toBe('\nALTER TABLE "S".t OWNER TO other;');
    const body = `CREATE FUNCTION "S".g() RETURNS void LANGUAGE sql AS $$\n${given}\n$$;`;
    expect(loaded(body)).toBe(`\n${body}`);
    expect(loads(given)).toBe(`\n${given}`);
  });

  test("a setting of PostgreSQL 17 only where it is known", () => {
    expect(loads("SET transaction_timeout = 0;")).toBe("");
    expect(loads("SET transaction_timeout = 0;", { major: 17 })).not.toBe("");
  });

  test("R6: a schema that stays is not created, and of a foreign one nothing is changed", () => {
    const keptSchemas = new Map([
      ["my app", "ours" as const],
      ["extensions", "foreign" as const],
    ]);
    expect(loads('CREATE SCHEMA "my app";', { keptSchemas })).toBe("");
    expect(loads("COMMENT ON SCHEMA extensions IS 'x';", { keptSchemas })).toBe("");
    expect(loads("GRANT USAGE ON SCHEMA extensions TO app;", { keptSchemas })).toBe("");
    expect(loads(`COMMENT ON SCHEMA "my app" IS 'x';`, { keptSchemas })).not.toBe("");
  });

  test("R6: rows, values and privileges of an extension that stays are its own", () => {
    const kept = { keptRelations: new Set(["public.spatial_ref_sys", "public.ids"]) };
    const filter = new LoadFilter({ ...rules, ...kept });
    const rows: Piece = { kind: "data", bytes: Buffer.from("1\n"), rows: "some" };
    expect(filter.piece(statement("COPY public.spatial_ref_sys (srid) FROM stdin;"))).toBeUndefined();
    expect(filter.piece(rows)).toBeUndefined();
    expect(filter.piece(statement("COPY public.t (id) FROM stdin;"))).toBeDefined();
    expect(filter.piece(rows)).toBeDefined();
    expect(loads("SELECT pg_catalog.setval('public.ids', 7, true);", kept)).toBe("");
    expect(loads("GRANT SELECT ON TABLE public.spatial_ref_sys TO PUBLIC;", kept)).toBe("");
  });

  test.each([
    "ALTER TABLE IF EXISTS ONLY s.t DROP CONSTRAINT IF EXISTS fk;",
    "ALTER DOMAIN IF EXISTS s.d DROP CONSTRAINT IF EXISTS positive;",
    "ALTER TABLE IF EXISTS s.t ALTER COLUMN id DROP DEFAULT;",
    "ALTER PUBLICATION p DROP TABLE ONLY s.t;",
    "DROP TABLE IF EXISTS s.t;",
    "CREATE OR REPLACE VIEW s.v AS\nSELECT\n    NULL::integer AS a;",
    'CREATE OR REPLACE VIEW s."a view" AS\nSELECT\n    NULL::integer AS a;',
    "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = '1';",
  ])("R7, R8: what cleans is not loaded: %p", (text) => expect(loads(text)).toBe(""));

  test("a schema that pg_dump alters before it creates anything is no cleaning", () =>
    expect(loads("ALTER SCHEMA public OWNER TO app;")).not.toBe(""));

  test("after the cleaning, a view of NULLs is a view", () => {
    const filter = new LoadFilter(rules);
    const view = "CREATE OR REPLACE VIEW s.gone AS\nSELECT\n    NULL::integer AS a;";
    expect(filter.piece(statement(view))).toBeUndefined();
    filter.piece(statement("CREATE TABLE s.t ();"));
    expect(filter.piece(statement(view))).toBeDefined();
  });

  test("event triggers come last; they sleep in a copy, and only a superuser can create them", () => {
    const text = "CREATE EVENT TRIGGER watch ON ddl_command_end\n   EXECUTE FUNCTION public.f();";
    const filter = new LoadFilter(rules);
    expect(filter.piece(statement(text))).toBeUndefined();
    expect(filter.atTheEnd).toEqual([text]);
    expect(loads(text, { asleep: true })).toContain("ALTER EVENT TRIGGER watch DISABLE;");
    expect(loads(text, { superuser: false })).toBe("");
  });

  test("data passes, whatever it looks like", () => {
    const data: Piece = { kind: "data", bytes: Buffer.from("COMMIT;\nALTER TABLE t OWNER TO x;\n") };
    expect(new LoadFilter({ ...rules, noOwner: true }).piece(data)).toBe(data);
  });
});

describe("what a dump says", () => {
  const read = (...texts: string[]) => {
    const contents = new DumpContents();
    for (const text of texts) readPiece(contents, statement(text));
    return contents;
  };

  test.each([
    ["CREATE TABLE public.t (\n    a integer\n);", "public.t"],
    ['CREATE UNLOGGED TABLE "My Schema"."Tä""ble" (a integer);', 'My Schema.Tä"ble'],
    ["CREATE FOREIGN TABLE s.f (a integer) SERVER x;", "s.f"],
    ["CREATE TABLE public.parted (a integer)\nPARTITION BY RANGE (a);", "public.parted"],
  ])("table of %p", (text, table) => expect(read(text).tables).toEqual([table]));

  test("roles, extensions, schemas", () => {
    const contents = read(
      'ALTER TABLE t OWNER TO "Odd, ""one""";',
      "GRANT SELECT(a) ON TABLE public.t TO reader WITH GRANT OPTION;",
      "REVOKE USAGE ON SCHEMA public FROM PUBLIC;",
      "ALTER DEFAULT PRIVILEGES FOR ROLE boss IN SCHEMA public GRANT SELECT ON TABLES TO clerk;",
      'CREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;',
      "CREATE SCHEMA app;",
      `CREATE POLICY mine ON app.t AS RESTRICTIVE FOR UPDATE TO tenant, "it's, one" USING ((owner = CURRENT_USER));`,
    );
    expect([...contents.roles].toSorted()).toEqual(['Odd, "one"', "PUBLIC", "boss", "clerk", "reader"]);
    expect([...contents.extensions]).toEqual(["uuid-ossp"]);
    expect([...contents.schemas]).toEqual(["app"]);
    expect(contents.needRoles.get("POLICY mine ON app.t")).toEqual(["tenant", "it's, one"]);
  });

  test.each(["\\connect other", "\\! rm -rf /", "\\i /etc/passwd", "\\copy t from x"])("%p is refused", (text) => {
    expect(() => readPiece(new DumpContents(), { kind: "command", text, bytes: Buffer.from(text) })).toThrow(
      /psql command/,
    );
  });
});

describe("the last words of a dump", () => {
  const end = "\n--\n-- PostgreSQL database dump complete\n--\n\n";
  test.each([
    [`COPY …${end}`, true],
    [`COPY …${end}\\unrestrict aBc123\n\n`, true],
    [`COPY …${end}a row that follows\n`, false],
    ["COPY …\n-- PostgreSQL database dump complete\n", false],
    [`COPY …${end.slice(0, -6)}`, false],
    ["", false],
  ])("%p: %p", (tail, complete) => expect(dumpForm.completion.test(tail)).toBe(complete));
});

describe("the first words of a file", () => {
  test.each([
    ["PGDMP\u0001\u000e", /pg_restore/],
    ["--\r\n-- PostgreSQL database dump\r\n--\r\n", /line ends of Windows.*sed 's\/\\r\$\/\/' FILE/],
    ["/*M!999999\\- enable the sandbox mode */\n-- MariaDB dump", /MySQL or MariaDB/],
    ["-- MySQL dump 10.13", /MySQL or MariaDB/],
    ["--\n-- PostgreSQL database cluster dump\n--\n", /cluster/],
    ["CREATE TABLE t ();", /no plain dump/],
    ["\u001f\u008b\b", /compressed twice.*gzip -dc FILE/],
    [`toc.dat${"\0".repeat(250)}ustar`, /tar format.*pg_restore -f dump.sql FILE/],
    ["\u00ff\u00fe-\0-\0", /UTF-16.*iconv -f UTF-16 -t UTF-8 FILE/],
    ["\u00ff\u00fe\0\0-\0\0\0", /UTF-32.*iconv -f UTF-32 -t UTF-8 FILE/],
    ["\0\0\u00fe\u00ff\0\0\0-", /UTF-32.*iconv -f UTF-32 -t UTF-8 FILE/],
    ["\u00ef\u00bb\u00bf--", /byte order mark.*tail -c \+4 FILE/],
    ["pg_dump: warning: there are circular foreign-key constraints\n--\n-- PostgreSQL", /error output.*sed 1d/],
  ])("%p is refused", (head, why) => {
    expect(() => kindOf(dumpForm, Buffer.from(head, "latin1"))).toThrow(/the file (?:is|has)/);
    try {
      kindOf(dumpForm, Buffer.from(head, "latin1"));
    } catch (error) {
      const { message, hints } = error as { message: string; hints: string[] };
      expect(`${message} ${hints.join(" ")}`).toMatch(why);
    }
  });
  test("a plain dump is accepted", () => {
    expect(() => kindOf(dumpForm, Buffer.from("--\n-- PostgreSQL database dump\n--\n"))).not.toThrow();
  });
});

describe("the client for a server", () => {
  const client = (version: string) => {
    const [major = 0, minor = 0] = version.split(".").map(Number);
    return { path: `/${version}/pg_dump`, version, major, minor };
  };
  test.each([
    [["15.18"], 15, "15.18"],
    [["15.18", "17.2"], 13, "15.18"],
    [["13.1", "15.18", "17.2"], 16, "17.2"],
    [["15.3", "15.18"], 15, "15.18"],
    [["15.18"], 16, undefined],
    [[], 16, undefined],
  ])("of %p for server %p is %p", (versions, major, wanted) => {
    expect(fittingClient(versions.map(client), major)?.version).toBe(wanted);
  });
  test.each([
    ["15.13", false],
    ["15.14", true],
    ["12.22", false],
    ["18.0", true],
    ["19.0", true],
  ])("%p knows \\restrict: %p", (version, knows) => expect(knowsRestrict(client(version))).toBe(knows));
});
