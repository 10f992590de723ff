/** How a MySQL login gets from the settings to the client programs. */
import { describe, expect, test } from "bun:test";
import { fstatSync } from "node:fs";
import fc from "fast-check";
import type { Client, Family } from "../../scripts-src/database/mysql/clients.ts";
import { formatOptions, writeOptionFile } from "../../scripts-src/database/mysql/connection.ts";
import { targetFromSettings } from "../../scripts-src/database/mysql/login.ts";
import { Failure } from "../../scripts-src/base/errors.ts";
import { settingsFrom } from "../../scripts-src/settings/settings.ts";

const target = (settings: Record<string, string>) => targetFromSettings(settingsFrom(settings));
const fromUrl = (DATABASE_URL: string) => target({ DATABASE_URL });

describe("the target", () => {
  test.each([
    ["mysql://u:p@h:3307/db", { host: "h", port: 3307, user: "u", password: "p", where: "mysql://h:3307/db" }],
    ["mariadb://u@h/db", { host: "h", port: undefined, password: undefined, where: "mariadb://h:3306/db" }],
    ["mysql://u:%40%23%25%2F%3A%3F%20%27%22%C3%BC@h/d", { password: "@#%/:? '\"ü" }],
    ["mysql://u:p@[::1]:3306/d%20b", { host: "::1", database: "d b", where: "mysql://[::1]:3306/d b" }],
    ["mysql://u@localhost/db", { host: "localhost", where: "mysql://localhost/db" }],
    ["mysql://u@localhost/db?socket=/run/x.sock", { socket: "/run/x.sock", where: "mysql:///db?socket=/run/x.sock" }],
    ["mariadb://u@%2Frun%2Fx.sock/db", { socket: "/run/x.sock", where: "mariadb:///db?socket=/run/x.sock" }],
    ["mysql:///db", { host: "localhost", user: undefined }],
  ])("%s", (url, wanted) => {
    expect(fromUrl(url)).toMatchObject(wanted);
  });

  test("in parts; a host that starts with / is a socket", () => {
    const parts = { DB_TYPE: "mariadb", DB_NAME: "db", DB_USER: "u", DB_PASSWORD: "a@b#c%41/" };
    expect(target(parts)).toMatchObject({ family: "mariadb", host: "localhost", password: "a@b#c%41/" });
    expect(target({ ...parts, DB_HOST: "/run/x.sock" })).toMatchObject({ socket: "/run/x.sock", database: "db" });
  });

  test.each([
    ["mysql://u:secret@h", "no database is named"],
    ["mysql://u:secret#1@h/db", "no valid URL"],
    ["mysql://u:secret@h/db#x", "a # in it"],
    ["mysql://u:se%cret@h/db", "% stands in it"],
    ["mysql://u:secret@h/db?sslmode=require", "unknown parameter sslmode"],
    ["mysql://u:secret@h/db?ssl-mode=maybe", "ssl-mode must be one of"],
    ["mysql://u:secret@h:x/db", "no valid URL"],
  ])("%s is refused with status 2, without the password", (url, words) => {
    const wrong = catchFailure(() => fromUrl(url));
    expect(wrong.message).toContain(words);
    expect(wrong.status).toBe(2);
    expect(`${wrong.message} ${wrong.hints.join(" ")}`).not.toMatch(/secret|se%cret/);
  });
});

/** A client program that has those options. */
const client = (family: Family, ...options: string[]): Client => ({
  path: "/bin/client",
  name: "client",
  family,
  version: "1.0.0",
  setsAside: undefined,
  knows: (option) => options.includes(option),
});

function catchFailure(act: () => unknown): Failure {
  try {
    act();
  } catch (error) {
    if (error instanceof Failure) return error;
  }
  throw new Error("it did not fail");
}

describe("the option file", () => {
  test("what the programs read from it is the login, whatever the password holds", () => {
    const odd = fc.constantFrom(...Array.from("#'\"\\$ ;=[]!`%\t\n\r@/üé😀nrtbs"));
    const password = fc.string({ unit: fc.oneof(odd, fc.string({ minLength: 1, maxLength: 1 })), maxLength: 60 });
    fc.assert(
      fc.property(
        password.filter((text) => !text.includes("\0")),
        (text) => {
          using file = writeOptionFile({ ...fromUrl("mysql://u@h:1/d"), password: text }, client("mariadb"));
          const argv = ["my_print_defaults", file.argument, "client"];
          const read = Bun.spawnSync(argv, { stdio: ["ignore", "pipe", "inherit", file.file] }).stdout.toString();
          expect(read).toBe(`--host=h\n--port=1\n--protocol=TCP\n--user=u\n--password=${text}\n`);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("it has no name: nobody else can open it", () => {
    using file = writeOptionFile(fromUrl("mysql://u:p@h/d"), client("mysql"));
    const { mode, nlink } = fstatSync(file.file);
    expect([(mode & 0o777).toString(8), nlink]).toEqual(["600", 0]);
  });

  test("without a password there is an empty one, so that MYSQL_PWD does not count", () => {
    expect(formatOptions(fromUrl("mysql://u@h/d"), client("mysql"))).toContain('\npassword=""\n');
  });

  test("S4: the client takes no commands and gives the server no files, by every switch that it knows", () => {
    const locks = (...options: string[]) => {
      const text = formatOptions(fromUrl("mysql://u@h/d"), client("mysql", ...options));
      return text.slice(text.indexOf("[mysql]"), text.indexOf("[mysqldump]")).trim().split("\n").slice(1);
    };
    const always = ["connect-timeout=10", "binary-mode", "local-infile=0"];
    expect(locks()).toEqual(always);
    expect(locks("sandbox")).toEqual([...always, "sandbox"]);
    expect(locks("commands", "system-command")).toEqual([...always, "commands=0", "system-command=0"]);
  });

  const tls = (query: string, family: "mysql" | "mariadb") =>
    formatOptions(fromUrl(`mysql://u@h/d?${query}`), client(family))
      .split("\n")
      .filter((line) => line.startsWith("ssl") || line.startsWith("tls"));

  test.each([
    ["ssl-mode=disabled", ['ssl-mode="DISABLED"'], ['ssl="0"']],
    ["ssl-mode=PREFERRED", ['ssl-mode="PREFERRED"'], ['ssl-verify-server-cert="0"']],
    ["ssl_mode=REQUIRED", ['ssl-mode="REQUIRED"'], ['ssl="1"', 'ssl-verify-server-cert="0"']],
    [
      "ssl-mode=VERIFY_CA&ssl-ca=/ca.pem",
      ['ssl-mode="VERIFY_CA"', 'ssl-ca="/ca.pem"'],
      ['ssl="1"', 'ssl-verify-server-cert="1"', 'ssl-ca="/ca.pem"'],
    ],
    ["ssl-ca=/ca.pem&tls-version=TLSv1.3", ['ssl-ca="/ca.pem"', 'tls-version="TLSv1.3"'], undefined],
  ])("%s in the words of either family", (query, mysql, mariadb) => {
    expect(tls(query, "mysql")).toEqual(mysql);
    expect(tls(query, "mariadb")).toEqual(mariadb ?? mysql);
  });
});
