/** Restores that cannot succeed: each names the cause and a remedy, and the database is exactly as it was before. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { gunzip } from "../support/machine/files.ts";
import { expectState, type State, stateOf } from "../support/expect/oracle.ts";
import { freePort, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { tempDir } from "../support/machine/temp.ts";

let server: PostgresServer;
let scripts: Installation;
let before: State;
let backup: string;
let sql: string;

/** Two tables, functions with lines that look like statements, and large objects, whose dump holds BEGIN and COMMIT. */
const data = `
  CREATE TABLE account AS SELECT i AS id, md5(i::text) AS owner, i * 10 AS balance FROM generate_series(1, 20000) i;
  ALTER TABLE account ADD PRIMARY KEY (id);
  CREATE TABLE zebra (id int PRIMARY KEY, account int REFERENCES account);
  INSERT INTO zebra SELECT i, i FROM generate_series(1, 1000) i;
  CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
  SELECT lo_from_bytea(5000 + i, decode(md5(i::text), 'hex')) FROM generate_series(1, 20) i;`;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", data);
  scripts = installScripts(server.settings("app"));
  const ran = await scripts.run("backup");
  expectSuccess(ran);
  backup = ran.stdout.trim();
  sql = await gunzip(backup);
  // what a restore would replace, and what only the target has
  await server.sql(
    "app",
    "DELETE FROM zebra WHERE id > 10; UPDATE account SET balance = -1; CREATE TABLE extra (a int)",
  );
  await server.sql("app", "SELECT lo_unlink(5001), lo_from_bytea(9999, 'only here')");
  before = await stateOf(server, "app");
});
afterAll(() => server.stop());

/** A file with this content in a folder of its own; with the backup's manifest when asked for. */
function plant(content: string | Uint8Array, name: string, manifest?: string): string {
  const file = join(tempDir("plant"), name);
  writeFileSync(file, content);
  if (manifest !== undefined) writeFileSync(`${file}.json`, manifest);
  return file;
}

/** Runs a restore that must fail and change nothing. */
async function expectFailedRestore(args: string[], cause: RegExp, status = 1, settings = {}): Promise<void> {
  const own = installScripts({ ...server.settings("app"), ...settings });
  expectFailure(await own.run("restore", args), cause, status);
  await expectState(server, "app", before);
}

const manifest = () => readFileSync(`${backup}.json`, "utf8");
const bytes = () => new Uint8Array(readFileSync(backup));

test("server down", () => expectFailedRestore([backup], /Connection refused/, 1, { DB_PORT: String(freePort()) }));

test("wrong password", () =>
  expectFailedRestore([backup], /password authentication failed/, 1, { DB_PASSWORD: "wrong one" }));

test("psql missing", () => {
  const own = { DB_CLIENT_DIR: tempDir("no-clients") };
  return expectFailedRestore([backup], /(psql|pg_dump) was not found/, 3, own);
});

test("no such database, and no right to create it", async () => {
  await server.sql("postgres", "CREATE ROLE visitor LOGIN PASSWORD 'visitor-password'");
  const { DB_USER = "", DB_PASSWORD = "" } = server.settings("app", { user: "visitor", password: "visitor-password" });
  const settings = { DB_NAME: "nonsuch", DB_USER, DB_PASSWORD };
  await expectFailedRestore([backup], /visitor cannot create databases: ALTER ROLE visitor CREATEDB/, 1, settings);
});

test("file cut short, without a manifest", () =>
  expectFailedRestore(
    [plant(bytes().subarray(0, -100), "cut.sql.gz")],
    /cut\.sql\.gz.*(cut|short|damaged|truncated|ends)/,
  ));

test("file cut short between two gzip members", () => {
  const [first, second] = [sql.slice(0, 50_000), sql.slice(50_000)].map((part) => Bun.gzipSync(part));
  expect(second?.length).toBeGreaterThan(0);
  return expectFailedRestore([plant(first ?? "", "half.sql.gz")], /whole|breaks off|cut/);
});

test("file cut short, with its manifest", () =>
  expectFailedRestore([plant(bytes().subarray(0, -100), "cut.sql.gz", manifest())], /cut\.sql\.gz is damaged.*bytes/));

test.each([0.02, 0.3, 0.6, 0.999])("one bit flipped at %d of the file, without a manifest", (where) => {
  const flipped = bytes();
  const at = Math.floor(flipped.length * where);
  flipped[at] = (flipped[at] ?? 0) ^ 1;
  return expectFailedRestore([plant(flipped, "flipped.sql.gz")], /flipped\.sql\.gz|dump/);
});

test("one bit flipped in a file that is not compressed: the checksum finds it", () => {
  const flipped = Buffer.from(sql);
  const at = flipped.indexOf("\t200\n") + 1;
  flipped[at] = "3".charCodeAt(0);
  const own = { ...(JSON.parse(manifest()) as object), compression: "none", bytes: sql.length };
  return expectFailedRestore([plant(flipped, "flipped.sql", JSON.stringify(own))], /checksum \(sha256\)/);
});

test("checksum in the manifest is another", () => {
  const other = manifest().replace(/"sha256": ?"[0-9a-f]{64}"/, `"sha256":"${"0".repeat(64)}"`);
  return expectFailedRestore([plant(bytes(), "other.sql.gz", other)], /checksum \(sha256\)/);
});

test("bytes after the end of the gzip data", () =>
  expectFailedRestore([plant(Buffer.concat([bytes(), Buffer.from("garbage")]), "tail.sql.gz")], /tail\.sql\.gz/));

test("not gzip at all, whatever the name says", () =>
  expectFailedRestore([plant("this is no gzip file", "fake.sql.gz")], /fake\.sql\.gz|plain dump/));

test("not zstd at all, whatever the name says", () =>
  expectFailedRestore([plant(Buffer.from([1, 2, 3, 4, 5, 6, 7, 8]), "fake.sql.zst")], /fake\.sql\.zst|plain dump/));

test("empty file", () => expectFailedRestore([plant("", "empty.sql.gz")], /empty\.sql\.gz|empty|plain dump/));

test.each<[string, (sql: string, dir: string) => Uint8Array | string, RegExp]>([
  ["gzip in gzip", (text) => Bun.gzipSync(Bun.gzipSync(text)), /compressed twice.*hint: .*gzip -dc FILE/s],
  ["tar", (text, dir) => tarOf(text, dir), /is a tar file.*hint: .*tar -xf FILE/s],
  ["tar.gz", (text, dir) => Bun.gzipSync(new Uint8Array(tarOf(text, dir))), /is a tar file.*hint: .*tar -xf FILE/s],
  ["UTF-16", (text) => Buffer.from(`\uFEFF${text}`, "utf16le"), /UTF-16.*hint: .*iconv -f UTF-16 -t UTF-8 FILE/s],
  ["a byte order mark", (text) => `\uFEFF${text}`, /byte order mark.*hint: .*tail -c \+4 FILE/s],
  ["a warning at the top", (text) => `pg_dump: warning: circular\n${text}`, /error output.*hint: .*sed 1d FILE/s],
  [
    "Windows' line ends",
    (text) => text.replaceAll("\n", "\r\n"),
    /line ends of Windows.*hint: .*sed 's\/\\r\$\/\/' FILE/s,
  ],
  ["UTF-16 without a mark", (text) => Buffer.from(text, "utf16le"), /UTF-16.*hint: .*iconv -f UTF-16LE -t UTF-8 FILE/s],
  ["an empty file", () => "", /the file is empty/],
  [
    "a page that says 404",
    () => "<!DOCTYPE html><html>Not found</html>",
    /a web page.*hint: .*fetch the backup again/s,
  ],
  [
    "an error of S3",
    () => '<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>',
    /a server's error message/,
  ],
  ["an output of OpenSSL", () => "Salted__12345678abcdefgh", /encrypted with OpenSSL/],
  ["one transaction", (text) => `BEGIN;\n${text}COMMIT;\n`, /SET statement_timeout.*after a BEGIN/],
  ["UTF-16, packed", (text) => Bun.gzipSync(Buffer.from(`\uFEFF${text}`, "utf16le")), /is text in UTF-16/],
])("F: a dump as %s is named with the command that helps, before anything is touched", (name, make, cause) =>
  expectFailedRestore(
    [plant(make(sql, tempDir("made")), `made-${name.replace(/\W/g, "-")}.sql`), "--replace", "--yes"],
    cause,
  ),
);

test("F: plain SQL named as if it were compressed", () =>
  expectFailedRestore([plant(sql, "plain.sql.gz")], /plain\.sql\.gz is plain text.*hint: .*mv FILE dump\.sql/s));

function tarOf(text: string, dir: string): Uint8Array {
  writeFileSync(join(dir, "app.sql"), text);
  return Bun.spawnSync(["tar", "-cf", "-", "-C", dir, "app.sql"]).stdout;
}

test("F: a folder of pg_dump is named with the command that helps", () => {
  const folder = tempDir("toc");
  writeFileSync(join(folder, "toc.dat"), "PGDMP");
  return expectFailedRestore([folder], /directory format.*hint: .*pg_restore -f dump\.sql FOLDER/s);
});

test("a folder", () => expectFailedRestore([tempDir("folder.sql")], /folder|directory/));

test("plain SQL that was cut short", () =>
  expectFailedRestore([plant(sql.slice(0, sql.length - 300), "cut.sql")], /whole|last line|breaks off/));

test("F: words behind the dump's last line; a dump made with --create", async () => {
  await expectFailedRestore(
    [plant(`${sql}pg_dump: error: the disk is full\n`, "words.sql")],
    /goes on behind the dump's last line/,
  );
  const created = sql.replace("\nSET ", "\nCREATE DATABASE app;\nSET ");
  await expectFailedRestore(
    [plant(created, "created.sql")],
    /CREATE DATABASE app;.*\n.*hint: a dump made with pg_dump --create/,
  );
});

test("plain SQL that ends in the error of pg_dump", () =>
  expectFailedRestore(
    [plant(`${sql.slice(0, sql.length - 300)}pg_dump: error: query failed: server closed the connection\n`, "cut.sql")],
    /its program failed while it was made: pg_dump: error: query failed: server closed the connection/,
  ));

test("plain SQL that is no dump", () =>
  expectFailedRestore([plant("DROP TABLE account;\n", "evil.sql")], /no plain dump/));

test("the manifest in the place of the backup", () =>
  expectFailedRestore(
    [`${backup}.json`],
    /\.json is the manifest of a backup, not the backup\n.*hint: name the backup: /,
    4,
  ));

test("a name that lacks its ending", () => {
  const name = backup.split("/").at(-1) ?? "";
  return expectFailedRestore([name.slice(0, -3)], new RegExp(`hint: did you mean ${name}\\?`), 4, {
    BACKUP_DIR: scripts.backups,
  });
});

test("a manifest that cannot be read", () =>
  expectFailedRestore([plant(bytes(), "odd.sql.gz", "{ not json")], /odd\.sql\.gz\.json/));

test.each([
  [
    "MariaDB",
    "/*M!999999\\- enable the sandbox mode */\n-- MariaDB dump 10.19\nDROP TABLE account;\n-- Dump completed on 2025-01-01\n",
  ],
  ["MySQL", "-- MySQL dump 10.13  Distrib 8.0.36\nDROP TABLE account;\n-- Dump completed on 2025-01-01\n"],
  ["pg_dump's custom format", "PGDMP\u0001\u000e\u0000\u0004"],
  ["pg_dumpall", "--\n-- PostgreSQL database cluster dump\n--\nDROP TABLE account;\n"],
])("a file of %s", (name, content) => {
  const cause =
    { MariaDB: /MySQL or MariaDB/, MySQL: /MySQL or MariaDB/, pg_dumpall: /cluster/ }[name] ?? /custom.format/;
  return expectFailedRestore([plant(content, "foreign.sql")], cause);
});

test("a backup of another engine, by its manifest", () => {
  const other = manifest().replace(/"engine": ?"postgresql"/, '"engine":"mariadb"');
  return expectFailedRestore([plant(bytes(), "other.sql.gz", other)], /backup of mariadb, not of postgresql/);
});

test("everything that the target lacks is listed at once, with the remedy", async () => {
  const needy = sql.replace(
    "CREATE FUNCTION public.f",
    `CREATE EXTENSION IF NOT EXISTS nonsuch_extension WITH SCHEMA public;
     GRANT SELECT ON TABLE public.account TO nonsuch_reader;
     ALTER FUNCTION public.f() OWNER TO "Nonsuch Owner";
     CREATE FUNCTION public.f`,
  );
  const own = installScripts(server.settings("app"));
  const ran = await own.run("restore", [plant(needy, "needy.sql")]);
  expectFailure(ran, /nonsuch_extension/);
  expect(ran.stderr).toMatch(/nonsuch_reader/);
  expect(ran.stderr).toMatch(/CREATE ROLE "Nonsuch Owner"/);
  expect(ran.stderr).toContain("--no-owner");
  await expectState(server, "app", before);
});

test("R17: a dump of a newer server is tried, with a warning", async () => {
  const newer = sql.replace("-- Dumped from database version 15", "-- Dumped from database version 99");
  const own = installScripts({ ...server.settings("app"), DB_NAME: "newer" });
  const ran = await own.run("restore", [plant(newer, "new.sql")]);
  expectSuccess(ran);
  expect(ran.stderr).toContain("the dump comes from PostgreSQL 99, which is newer than the server");
  expect(await server.sql("newer", "SELECT count(*) FROM account")).toBe("20000");
});

test("a dump with a psql command that no pg_dump writes", () =>
  expectFailedRestore(
    [plant(sql.replace("\nCREATE TABLE", "\n\\! touch /tmp/backup-scripts-evil\nCREATE TABLE"), "evil.sql")],
    /psql command/,
  ));

/** The dump with a statement in its last third, behind the large objects' COMMIT, replaced by one that fails. */
function failingLate(): string {
  const broken = sql.replace(
    /(?<=ALTER TABLE ONLY public\.zebra\n\s+ADD CONSTRAINT zebra_account_fkey FOREIGN KEY \(account\) REFERENCES public\.)account/,
    "nonsuch",
  );
  expect(broken).not.toBe(sql);
  expect(broken.indexOf("nonsuch")).toBeGreaterThan(broken.lastIndexOf("\nCOMMIT;"));
  expect(broken.lastIndexOf("\nCOMMIT;")).toBeGreaterThan(0);
  return broken;
}

test("a dump that fails in its last third, behind the COMMIT of the large objects, changes nothing", async () => {
  const file = plant(failingLate(), "late.sql");
  const own = installScripts(server.settings("app"));
  const ran = await own.run("restore", ["--replace", file]);
  expectFailure(ran, /relation "public\.nonsuch" does not exist/);
  expect(ran.stderr).toContain("nothing was changed");
  await expectState(server, "app", before);
  const inPlace = await own.run("restore", ["--in-place", "--replace", file]);
  expectFailure(inPlace, /failed and changed nothing: .*relation "public\.nonsuch" does not exist/);
  await expectState(server, "app", before);
});

test("a row that breaks a constraint changes nothing", () => {
  const broken = sql.replace(/^(\d+\t[0-9a-f]{32})\t200$/m, "$1\tno number");
  return expectFailedRestore(["--replace", plant(broken, "broken.sql")], /invalid input syntax for type integer/);
});

test("psql that fails at the end of the load changes nothing", () => {
  const clients = clientsWith(server.clientDir, {
    psql: 'case "$*" in *QUIET=off*) head -c 200000 | "$REAL" "$@"; exit 2;; esac\nexec "$REAL" "$@"',
  });
  return expectFailedRestore([backup], /restore into .* failed/, 1, { DB_CLIENT_DIR: clients });
});

test("a user who may not replace what is there", async () => {
  await server.sql("postgres", "CREATE ROLE guest LOGIN PASSWORD 'guest-password'");
  const { DB_USER = "", DB_PASSWORD = "" } = server.settings("app", { user: "guest", password: "guest-password" });
  await expectFailedRestore([backup], /guest does not own .*restore as its owner/, 1, { DB_USER, DB_PASSWORD });
});

test("a manifest without its file", async () => {
  const own = installScripts(server.settings("app"));
  const file = plant("", "app_2025-01-01_00-00-00.sql.gz", manifest());
  rmSync(file);
  expectFailure(await own.run("restore", [file]), /not found/, 4);
});

test("after all that, the backup itself restores", async () => {
  copyFileSync(backup, `${backup}.copy.sql.gz`);
  expectSuccess(await scripts.run("restore", ["--replace", `${backup}.copy.sql.gz`]));
  expect(await server.sql("app", "SELECT count(*), min(balance) FROM account")).toBe("20000|10");
});
