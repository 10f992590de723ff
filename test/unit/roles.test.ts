/** Backups of roles: only lines that backup itself writes are accepted, so a planted file cannot run other SQL. */
import { expect, test } from "bun:test";
import { rolesReader, writeRoles } from "../../scripts-src/database/roles.ts";
import { serverRoles } from "../../scripts-src/database/postgres/roles.ts";
import { isOurs as mysql } from "../../scripts-src/database/mysql/accounts.ts";
import { formatBackupName, parseBackupName, serverRoles as rolesName } from "../../scripts-src/archive/name.ts";

const never = {} as never;
const postgres = serverRoles(never, 17).isOurs;

test.each([
  [`CREATE ROLE "a" WITH LOGIN PASSWORD 'SCRAM-SHA-256$x';`, true],
  [`CREATE ROLE "a""b" WITH CONNECTION LIMIT 3 VALID UNTIL 'infinity' NOLOGIN;`, true],
  [String.raw`COMMENT ON ROLE "a" IS E'it''s \\ \n';`, true],
  [`ALTER ROLE ALL SET "search_path" TO 'a', '$user';`, true],
  [`GRANT "r" TO "m" WITH INHERIT FALSE, SET TRUE GRANTED BY "g";`, true],
  [`CREATE ROLE "a" WITH LOGIN; DROP TABLE t;`, false],
  [`CREATE ROLE "a" WITH LOGIN PASSWORD 'x'; DROP ROLE b; --';`, false],
  [String.raw`COMMENT ON ROLE "a" IS '\'; DROP ROLE b; --';`, false],
  [`ALTER ROLE "a" WITH SUPERUSER;`, false],
  [`ALTER ROLE "a" SET "x" TO 'y'; SELECT pg_read_file('/etc/passwd');`, false],
  [`DROP ROLE "a";`, false],
  [`\\! id`, false],
  ["", false],
])("PostgreSQL: %p is ours: %p", (line, is) => {
  expect(postgres(line)).toBe(is);
});

test.each([
  ["CREATE USER `a`@`%` IDENTIFIED WITH 'caching_sha2_password' AS 0x24 REQUIRE NONE;", true],
  ["GRANT SELECT (`a`), INSERT ON `shop`.`t` TO `a`@`%` WITH GRANT OPTION;", true],
  ["SET DEFAULT ROLE `r` FOR `a`@`%`;", true],
  ["CREATE USER `a`@`%`; DROP DATABASE shop;", false],
  ["CREATE USER `a`@`%` IDENTIFIED BY 'x'; DROP DATABASE shop; -- ';", false],
  ["GRANT ALL ON *.* TO `a`@`%` /*! ; DROP DATABASE shop */;", false],
  ["DROP USER `a`@`%`;", false],
  ["ALTER USER `a`@`%` IDENTIFIED BY 'x';", false],
])("MySQL: %p is ours: %p", (line, is) => {
  expect(mysql(line)).toBe(is);
});

test("a file that lacks its end, or has a foreign line, is refused", async () => {
  const whole = Buffer.concat(await Array.fromAsync(writeRoles([`CREATE ROLE "a" WITH LOGIN;`])));
  const read = (bytes: Uint8Array) => {
    const reader = rolesReader(postgres);
    reader.add(bytes);
    return reader.end().statements;
  };
  expect(read(whole)).toEqual([`CREATE ROLE "a" WITH LOGIN;`]);
  expect(() => read(whole.subarray(0, -10))).toThrow("first or last line is missing");
  expect(() => read(Buffer.from(whole.toString().replace("CREATE ROLE", "DROP ROLE")))).toThrow("line 2 of the roles");
});

test("the file of the roles is never mistaken for that of a database called @roles", () => {
  const facts = { time: new Date("2026-01-31T03:00:00Z"), sequence: 1, compression: "gzip", encrypted: false } as const;
  const ofRoles = formatBackupName({ ...facts, database: rolesName });
  const ofDatabase = formatBackupName({ ...facts, database: "@roles" });
  expect([ofRoles, ofDatabase]).toEqual(["@roles_2026-01-31_03-00-00.sql.gz", "%40roles_2026-01-31_03-00-00.sql.gz"]);
  expect(parseBackupName(ofRoles)?.database).toBe(rolesName);
  expect(parseBackupName(ofDatabase)?.database).toBe("@roles");
});
