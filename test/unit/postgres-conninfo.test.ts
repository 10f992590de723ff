import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  formatConninfo,
  type Keywords,
  parseConninfo,
  describeTarget,
  targetFromSettings,
  knownKeywords,
  unknownKeyword,
} from "../../scripts-src/database/postgres/conninfo.ts";
import { Failure } from "../../scripts-src/base/errors.ts";
import { settingsFrom } from "../../scripts-src/settings/settings.ts";
import { openLibpq } from "./libpq.ts";

const seed = Number(process.env.FC_SEED ?? Date.now() & 0x7fffffff);
console.log(`conninfo: seed ${seed} (repeat with FC_SEED=${seed})`);

const libpq15 = openLibpq(15);
const libpq18 = openLibpq(18);

/** Our reading, or the refusal. */
function parse(text: string): Record<string, string> | Failure {
  try {
    return Object.fromEntries(parseConninfo(text, "DATABASE_URL"));
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

describe("connection strings are read as libpq 15 and 18 read them", () => {
  const readable: [text: string, keywords: Record<string, string>][] = [
    ["postgres://", {}],
    ["postgresql://localhost", { host: "localhost" }],
    ["postgres://db:5433/app", { host: "db", port: "5433", dbname: "app" }],
    ["postgres://me@db/app", { user: "me", host: "db", dbname: "app" }],
    ["postgres://me:@db/app", { user: "me", host: "db", dbname: "app" }],
    ["postgres://:pw@db/app", { password: "pw", host: "db", dbname: "app" }],
    ["postgres://me:p%40%2F%3A%25%20%C3%A9@db/app", { user: "me", password: "p@/:% é", host: "db", dbname: "app" }],
    ["postgres://me:a:b#c?d$@db/app", { user: "me", password: "a:b#c?d$", host: "db", dbname: "app" }],
    ["postgres://[2001:db8::1]:5432/app", { host: "2001:db8::1", port: "5432", dbname: "app" }],
    ["postgres://[::1]/app?sslmode=disable", { host: "::1", dbname: "app", sslmode: "disable" }],
    ["postgres://a:1,b,[::2]:3/app", { host: "a,b,::2", port: "1,,3", dbname: "app" }],
    ["postgres://%2Fvar%2Frun%2Fpostgresql/app", { host: "/var/run/postgresql", dbname: "app" }],
    ["postgres:///app?host=/var/run&port=5433", { host: "/var/run", port: "5433", dbname: "app" }],
    ["postgres://db/a%20%26%3D%3F/b?options=-c%20x%3D1&", { host: "db", dbname: "a &=?/b", options: "-c x=1" }],
    ["postgres://db?dbname=app&user=me&password=pw", { host: "db", dbname: "app", user: "me", password: "pw" }],
    ["postgres://db/app?ssl=true", { host: "db", dbname: "app", sslmode: "require" }],
    ["postgres://db/one?dbname=two", { host: "db", dbname: "two" }],
    ["host=db dbname=app", { host: "db", dbname: "app" }],
    [" host = db\tdbname\n=\r app ", { host: "db", dbname: "app" }],
    [String.raw`password='it\'s \\ a' dbname=app`, { password: "it's \\ a", dbname: "app" }],
    [String.raw`password=it\'s\ \\a dbname=app`, { password: "it's \\a", dbname: "app" }],
    ["dbname='a'user=b", { dbname: "a", user: "b" }],
    ["dbname=a'b' user=''", { dbname: "a'b'", user: "" }],
    ["dbname=one dbname=two", { dbname: "two" }],
    ["host= dbname=app", { host: "dbname=app" }],
    ["password=\u00a0x dbname=app", { password: "\u00a0x", dbname: "app" }],
  ];
  for (const [text, keywords] of readable)
    test(JSON.stringify(text), () => {
      expect(parse(text)).toEqual(keywords);
      expect(libpq15(text)).toEqual(new Map(Object.entries(keywords)));
      expect(libpq18(text)).toEqual(new Map(Object.entries(keywords)));
    });
});

describe("what cannot be read is refused with the cause and the remedy, and nothing of it is repeated", () => {
  const refused: [text: string, cause: string, remedy: string][] = [
    ["postgres://me:SEC@RET@db/app", "an @ or / that is not encoded", "@ as %40"],
    ["postgres://me:SEC/RET@db/app", "an @ or / that is not encoded", "/ as %2F"],
    ["postgres://me:12/RET@db/app", "an @ or / that is not encoded", "@ as %40"],
    ["postgres://me:SEC%RET@db/app", "% is not followed by two hexadecimal digits", "% as %25"],
    ["postgres://me:SEC%00RET@db/app", "%00", "remove it"],
    ["postgres://me:SEC%FFRET@db/app", "not UTF-8", "percent-encode"],
    ["postgres://me:SEC RET@db/app", "a space", "%20"],
    ["postgres://me:x@db:SECRET/app", "the port is not a number", "percent-encode"],
    ["postgres://db:70000/app", "the port is not a number from 1 to 65535", "percent-encode"],
    ["postgres://[::1/app", "brackets", "[2001:db8::1]:5432"],
    ["postgres://[::1]x/app", "brackets", "[2001:db8::1]:5432"],
    ["postgres://db/app?SECRET", "keyword=value", "%26"],
    ["postgres://db/app?a=b=SECRET", "keyword=value", "%3D"],
    ["postgres://db/app?SEC-RET=b", "a keyword has other characters", "percent-encode"],
    ["SECRET", "neither a postgres:// URL nor keyword=value", "host=db dbname=app"],
    ["host=db password=SEC RET dbname=app", "neither a postgres:// URL nor", "single quotes"],
    ["host=db password='SECRET dbname=app", "a quote is not closed", "single quotes"],
    ["host=db port=SECRET", "the port is not a number", "single quotes"],
    ["mysql://me:SECRET@db/app", "neither a postgres:// URL nor", "host=db"],
  ];
  for (const [text, cause, remedy] of refused)
    test(text, () => {
      const failure = parse(text);
      if (!(failure instanceof Failure)) throw new Error(`accepted: ${JSON.stringify(failure)}`);
      expect(failure.status).toBe(2);
      expect(failure.message).toStartWith("DATABASE_URL: ");
      expect(failure.message).toContain(cause);
      expect(failure.hints.join()).toContain(remedy);
      expect(failure.message + failure.hints.join()).not.toMatch(/SEC|RET/);
    });
});

describe("S10: unknown keywords", () => {
  test("all that are known are those of some libpq, and libpq's own are known", () => {
    for (const keyword of knownKeywords)
      expect([keyword, libpq15(`${keyword}=x`) ?? libpq18(`${keyword}=x`) ?? isOlder(keyword)]).not.toEqual([
        keyword,
        undefined,
      ]);
    for (const keyword of ["passwrd", "sslmood", "schema", "pgbouncer", "connection_limit"])
      expect([keyword, libpq15(`${keyword}=x`), libpq18(`${keyword}=x`)]).toEqual([keyword, undefined, undefined]);
  });
  const isOlder = (keyword: string) => keyword === "requiressl" || undefined;

  test.each([
    [["host", "user"], undefined],
    [["host", "passwrd"], "there is no keyword passwrd; did you mean password?"],
    [["PASSWORD"], "there is no keyword PASSWORD; did you mean password?"],
    [["schema", "password"], "libpq knows no keyword schema"],
    [["password", "SECRET"], "what follows password holds a keyword that libpq does not know"],
    [["password", "host", "SECRET"], "what follows password holds a keyword that libpq does not know"],
  ])("%j", (keywords, cause) => {
    expect(unknownKeyword(keywords)?.cause).toBe(cause as string);
  });
});

const word = fc.string({
  unit: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(..."ab01".split("")) },
    { weight: 2, arbitrary: fc.constantFrom(..." @:/?#&=%,[]'\\\"$\t\n\vé漢\u00a0".split("")) },
    {
      weight: 1,
      arbitrary: fc.constantFrom("%40", "%2F", "%00", "%C3%A9", "://", "host=", "port=5432", "dbname=app", "::1"),
    },
  ),
  maxLength: 12,
});
const keyword = fc.constantFrom("host", "port", "dbname", "user", "password", "sslmode", "options", "application_name");

describe("properties, with libpq as the oracle", () => {
  test("what we accept of random strings, libpq accepts too and reads the same", () => {
    const start = fc.constantFrom(
      "postgres://",
      "postgresql://",
      "postgres://me:",
      "postgres://db/app?",
      "host=",
      "dbname='",
      "",
    );
    const anything = fc.tuple(start, word, fc.constantFrom("", "@db/app", "'", " user=me", "?sslmode=require"), word);
    let accepted = 0;
    fc.assert(
      fc.property(anything, (pieces) => {
        const ours = parse(pieces.join(""));
        if (ours instanceof Failure) return;
        const theirs = [libpq15, libpq18].map((libpq) => libpq(pieces.join("")));
        // An unknown keyword is for the server's own libpq to refuse.
        if (theirs.includes(undefined)) return expect(Object.keys(ours).some((k) => !known.has(k))).toBeTrue();
        accepted++;
        for (const read of theirs) expect(new Map(Object.entries(ours))).toEqual(read!);
      }),
      { numRuns: 20_000, seed },
    );
    console.log(`conninfo: ${accepted} of 20000 random strings accepted`);
    expect(accepted).toBeGreaterThan(500);
  });

  test("whatever the values are, libpq reads from our keyword form what went in, and so do we", () => {
    const values = fc.uniqueArray(fc.tuple(keyword, word), { selector: ([k]) => k });
    fc.assert(
      fc.property(values, (keywords: Keywords) => {
        const formatted = formatConninfo(keywords);
        expect(libpq15(formatted)).toEqual(new Map(keywords));
        expect(libpq18(formatted)).toEqual(new Map(keywords));
        if (!keywords.some(([k]) => k === "port")) expect(parseConninfo(formatted, "X")).toEqual(keywords);
      }),
      { numRuns: 5_000, seed },
    );
  });

  test("whatever user, password and name are, percent-encoded they arrive", () => {
    const some = word.filter((t) => t !== "");
    fc.assert(
      fc.property(some, some, some, (user, password, dbname) => {
        const [u, p, d] = [user, password, dbname].map(encodeURIComponent);
        expect(parse(`postgres://${u}:${p}@db:5432/${d}`)).toEqual({
          user,
          password,
          host: "db",
          port: "5432",
          dbname,
        });
      }),
      { numRuns: 5_000, seed },
    );
  });
});

const known = new Set(
  "host hostaddr port dbname user password passfile sslmode sslpassword options application_name service".split(" "),
);

const target = (settings: Record<string, string>) => {
  const found = targetFromSettings(settingsFrom(settings));
  return { ...found, where: describeTarget(found.keywords, found.database) };
};

describe("the database that the settings name", () => {
  test("the password stands apart, everything else is passed through in order", () => {
    const ways: Record<string, string>[] = [
      { DATABASE_URL: "postgres://me:p%40ss%20word@db:5433/app?sslmode=verify-full&sslrootcert=/ca.pem" },
      {
        POSTGRES_CONNECTION_STRING:
          "user=me password='p@ss word' host=db port=5433 dbname=app sslmode=verify-full sslrootcert=/ca.pem",
      },
    ];
    for (const settings of ways)
      expect(target(settings)).toEqual({
        keywords: [
          ["user", "me"],
          ["host", "db"],
          ["port", "5433"],
          ["dbname", "app"],
          ["sslmode", "verify-full"],
          ["sslrootcert", "/ca.pem"],
        ],
        password: "p@ss word",
        database: "app",
        where: "postgresql://db:5433/app",
      });
  });

  test("in parts, with the defaults", () => {
    expect(target({ DB_NAME: "app" })).toEqual({
      keywords: [
        ["host", "localhost"],
        ["port", "5432"],
        ["dbname", "app"],
      ],
      password: undefined,
      database: "app",
      where: "postgresql://localhost:5432/app",
    });
    const parts = { DB_HOST: "[::1]", DB_PORT: "5433", DB_NAME: "a 'b'=\\", DB_USER: "me@x", DB_PASSWORD: "p'\\ @:/" };
    const { keywords, password, database, where } = target(parts);
    expect(libpq15(formatConninfo(keywords))).toEqual(
      new Map([
        ["host", "::1"],
        ["port", "5433"],
        ["dbname", "a 'b'=\\"],
        ["user", "me@x"],
      ]),
    );
    expect({ password, database, where }).toEqual({
      password: "p'\\ @:/",
      database: "a 'b'=\\",
      where: "postgresql://[::1]:5433/a 'b'=\\",
    });
  });

  test("where it is, for people", () => {
    const where: [url: string, where: string][] = [
      ["postgres://me:secret@db/app", "postgresql://db:5432/app"],
      ["postgres://a:1,b,[::2]:3/app", "postgresql://a:1,b:5432,[::2]:3/app"],
      ["postgres:///app?host=/var/run/postgresql", "postgresql:///app?host=/var/run/postgresql&port=5432"],
      ["postgres:///app?hostaddr=10.0.0.1", "postgresql://10.0.0.1:5432/app"],
      ["postgres:///app", "postgresql:///app"],
      ["postgres:///app?host=a,b&port=5433", "postgresql://a:5433,b:5433/app"],
    ];
    for (const [url, text] of where) expect(target({ DATABASE_URL: url }).where).toBe(text);
  });

  test("no database, and secrets that only a command line could carry, are refused", () => {
    const refused: [settings: Record<string, string>, message: string][] = [
      [{ DATABASE_URL: "postgres://db" }, "DATABASE_URL: no database is named"],
      [{ POSTGRES_CONNECTION_STRING: "service=app" }, "POSTGRES_CONNECTION_STRING: no database is named"],
      [{ DB_HOST: "db" }, "DB_NAME: no database is named"],
      [{ DATABASE_URL: "postgres://db/app?sslpassword=SECRET" }, "DATABASE_URL: sslpassword is not accepted"],
      [{ DATABASE_URL: "postgres://db/app?scram_client_key=SECRET" }, "DATABASE_URL: scram_client_key is not accepted"],
    ];
    for (const [settings, message] of refused)
      try {
        target(settings);
        throw new Error("accepted");
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        expect(error.message).toStartWith(message);
        expect(error.status).toBe(2);
        expect(error.hints).not.toBeEmpty();
        expect(error.message + error.hints.join()).not.toContain("SECRET");
      }
  });
});
