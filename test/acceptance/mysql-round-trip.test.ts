/** Shell requirements 1 and 2 with MariaDB and MySQL: everything comes back, whatever the database holds. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { selfSigned } from "../support/servers/certificates.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { readManifest } from "../support/machine/files.ts";
import { createNasty, expectState, stateOf } from "../support/expect/mysql-oracle.ts";
import { clientName, dumpName, families, type Family, type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import type { State } from "../support/expect/oracle.ts";
import { tempDir } from "../support/machine/temp.ts";

const names: Record<Family, string> = { mariadb: "MariaDB", mysql: "MySQL" };

/** Something of every kind that a restore must not leave behind. */
const leftOver = `
  CREATE TABLE left_over (id int PRIMARY KEY, parent int, CONSTRAINT fk_parent FOREIGN KEY (parent) REFERENCES left_over (id));
  INSERT INTO left_over VALUES (1, NULL);
  CREATE VIEW numbers AS SELECT * FROM left_over;
  CREATE VIEW a_left_view AS SELECT * FROM numbers;
  CREATE TRIGGER left_trigger BEFORE INSERT ON left_over FOR EACH ROW SET NEW.id = 1;
  CREATE PROCEDURE left_procedure() SELECT 1;
  CREATE FUNCTION work() RETURNS int DETERMINISTIC RETURN 1;
  CREATE EVENT left_event ON SCHEDULE EVERY 1 YEAR DO SELECT 1;`;

const certificate = selfSigned("DNS:localhost");
/** Options of a server that speaks TLS; it runs as another user, who must be able to read the files. */
function tlsFiles(): Record<string, string> {
  const dir = tempDir("tls");
  chmodSync(dir, 0o755);
  const [cert, key] = [join(dir, "cert.pem"), join(dir, "key.pem")];
  writeFileSync(cert, certificate.cert, { mode: 0o644 });
  writeFileSync(key, certificate.key, { mode: 0o644 });
  return { "ssl-cert": cert, "ssl-key": key };
}

describe.each([...families])("%s", (family) => {
  let server: MysqlServer;
  let scripts: Installation;
  let before: State;
  beforeAll(async () => {
    server = await startMysql(family, { "max-allowed-packet": "16M", ...tlsFiles() });
    await createNasty(server, "nasty");
    before = await stateOf(server, "nasty");
    scripts = installScripts({ ...server.settings("nasty"), BACKUP_COMPRESSION_LEVEL: "1" });
  });
  afterAll(async () => {
    await server.stop();
    scripts.remove();
  });

  let backup = "";
  test("shell 1.1, 1.3: backs up, says what no snapshot covers, prints the path", async () => {
    const ran = await scripts.run("backup");
    expect(ran.status, ran.stderr).toBe(0);
    backup = ran.stdout.trim();
    expect(scripts.list()).toEqual([backup.slice(scripts.backups.length + 1)]);
    expect(ran.stderr).toMatch(/WARN .*not transactional.*in_memory \(MEMORY\).*old_myisam \(MyISAM\)/);
    const manifest = readManifest(backup) as Record<string, string>;
    expect(manifest).toMatchObject({ engine: family, database: "nasty", encoding: "utf8mb4" });
    expect(manifest.serverVersion).toStartWith(`${names[family]} `);
    expect(manifest.clientVersion).toStartWith(dumpName(family));
    // MariaDB's @@server_uid is shared by all servers of one host
    const uuid = family === "mysql" && (await server.sql("nasty", "SELECT @@server_uuid"));
    const inContainer = existsSync("/.dockerenv") || existsSync("/run/.containerenv");
    const system = uuid || (inContainer ? undefined : `${hostname()}:${server.port}`);
    expect((manifest.identity as unknown as { system?: string }).system).toBe(system as string);
  });

  /** The command that a line of the log gives. */
  const commandIn = (stderr: string, what: string) => new RegExp(`${what}: (.*)$`, "m").exec(stderr)?.[1] ?? "";
  const keptStates = async () =>
    (await server.sql("mysql", "SHOW DATABASES LIKE 'nasty\\_%'")).split("\n").filter(Boolean);

  test("shell 2.1, 2.5: restores into what has become of the database; that stays, and comes back", async () => {
    await server.dropDatabase("nasty");
    await server.createDatabase("nasty", leftOver);
    const changed = await stateOf(server, "nasty");
    const ran = await scripts.run("restore");
    expect(ran.status, ran.stderr).toBe(0);
    await expectState(server, "nasty", before);
    expect(await keptStates()).toHaveLength(1);
    // taken back, and that taken back again
    for (const wanted of [changed, before]) {
      const [kept = ""] = await keptStates();
      const undo = await scripts.run("restore", ["--undo", kept]);
      expect(undo.status, undo.stderr).toBe(0);
      await expectState(server, "nasty", wanted);
      expect(await keptStates()).toHaveLength(1);
    }
    expect(commandIn(ran.stderr, "to take the restore back")).toMatch(/\/restore --undo nasty_before_[\d_-]+$/);
    const drop = commandIn(ran.stderr, "to drop the state before the restore");
    expect(drop).toMatch(/^DROP DATABASE `nasty_before_[\d_-]+`;$/);
    for (const name of await keptStates()) await server.dropDatabase(name);
  });

  test("a restore is taken back in a database that was emptied since: no state before this is kept, or named", async () => {
    const full = await stateOf(server, "nasty");
    expect((await scripts.run("restore")).status).toBe(0);
    const [kept = ""] = await keptStates();
    await server.dropDatabase("nasty");
    await server.createDatabase("nasty", "SELECT 1");
    const undo = await scripts.run("restore", ["--undo", kept]);
    expect(undo.status, undo.stderr).toBe(0);
    expect(undo.stderr).toMatch(/undo done: \S+ is as it was before the restore$/m);
    expect(undo.stderr).not.toContain("to drop the state before this");
    await expectState(server, "nasty", full);
    expect(await keptStates()).toEqual([]);
  });

  test("restores over the database itself, whatever it holds; --drop-before leaves nothing", async () => {
    await server.sql("nasty", "SET foreign_key_checks = 0; DELETE FROM child; INSERT INTO no_key VALUES (9, 'new')");
    const ran = await scripts.run("restore", ["--drop-before"]);
    expect(ran.status, ran.stderr).toBe(0);
    await expectState(server, "nasty", before);
    expect(await keptStates()).toEqual([]);
  });

  test("--in-place: the state before is kept as a backup", async () => {
    await server.dropDatabase("nasty");
    await server.createDatabase("nasty", leftOver);
    const changed = await stateOf(server, "nasty");
    const ran = await scripts.run("restore", ["--in-place"]);
    expect(ran.status, ran.stderr).toBe(0);
    await expectState(server, "nasty", before);
    const [, path = ""] = /the state before is kept in (\S+)/.exec(ran.stderr) ?? [];
    const back = await scripts.run("restore", [path, "--in-place", "--no-safety-backup"]);
    expect(back.status, back.stderr).toBe(0);
    await expectState(server, "nasty", changed);
    expect(await keptStates()).toEqual([]);
  });

  test("the command in the manifest restores without this program", async () => {
    const { restoreCommand } = readManifest(backup) as { restoreCommand: string };
    await server.dropDatabase("nasty");
    await server.createDatabase("nasty");
    const login = server.loginFile;
    const bin = clientsWith(server.clientDir, { [clientName(family)]: `exec "$REAL" --defaults-file=${login} "$@"` }, [
      clientName(family),
    ]);
    const child = Bun.spawn(["/bin/sh", "-c", restoreCommand], {
      cwd: scripts.backups,
      env: { PATH: `${bin}:/usr/bin:/bin` },
      stderr: "pipe",
    });
    expect(await child.stderr.text()).toBe("");
    expect(await child.exited).toBe(0);
    await expectState(server, "nasty", before);
  });

  test("a password and a name with every odd sign, by URL, in parts and through the socket", async () => {
    const login = { user: "odd o'user", password: `p $HOME#a@b%41/:'"\\ü☃; \`x` };
    const name = "ödd `n-%a";
    const quoted = `'${login.user.replaceAll("'", "''")}'@'%'`;
    await server.createDatabase(name, "CREATE TABLE t (a int); INSERT INTO t VALUES (7);");
    const text = login.password.replaceAll("\\", "\\\\").replaceAll("'", "''");
    await server.sql("mysql", `CREATE USER ${quoted} IDENTIFIED BY '${text}'; GRANT ALL ON *.* TO ${quoted}`);
    const { DB_CLIENT_DIR } = server.settings(name) as { DB_CLIENT_DIR?: string };
    const client: Record<string, string> = DB_CLIENT_DIR === undefined ? {} : { DB_CLIENT_DIR };
    const socket = { DB_TYPE: family, DB_HOST: server.socket, DB_NAME: name, DB_USER: login.user };
    const ways: Record<string, string>[] = [
      { DATABASE_URL: server.url(name, login) },
      server.settings(name, login),
      { ...socket, DB_PASSWORD: login.password },
    ];
    const odd = installScripts();
    const home = tempDir("home");
    await Bun.write(join(home, ".my.cnf"), "[client]\nuser=wrong\npassword=wrong\nhost=192.0.2.1\nport=1\n");
    for (const way of ways) {
      const env = { ...client, ...way, HOME: home, MYSQL_PWD: "wrong", MYSQL_HOST: "192.0.2.1" };
      const ran = await odd.run("backup", [], { env });
      expect(ran.status, ran.stderr).toBe(0);
      const restored = await odd.run("restore", [], { env });
      expect(restored.status, restored.stderr).toBe(0);
    }
    expect(odd.list()).toHaveLength(3);
    expect(await server.sql(name, "SELECT a FROM t")).toBe("7");
    await server.dropDatabase(name);
    odd.remove();
  });

  test("TLS as the URL asks for it", async () => {
    await server.createDatabase("secret");
    await server.sql("mysql", "CREATE USER tls IDENTIFIED BY 'tls-password' REQUIRE SSL; GRANT ALL ON secret.* TO tls");
    const own = installScripts();
    const backUp = (query: string) => {
      const url = server
        .url("secret", { user: "tls", password: "tls-password" }, query)
        .replace("127.0.0.1", "localhost");
      return own.run("backup", [], { env: { DATABASE_URL: url, DB_CLIENT_DIR: server.clientDir } });
    };
    for (const mode of [
      "REQUIRED",
      `VERIFY_CA&ssl-ca=${certificate.file}`,
      `VERIFY_IDENTITY&ssl_ca=${certificate.file}`,
    ]) {
      const ran = await backUp(`ssl-mode=${mode}`);
      expect(ran.status, ran.stderr).toBe(0);
    }
    const plain = await backUp("ssl-mode=DISABLED");
    expect(plain.status, plain.stderr).toBe(1);
    expect(plain.stderr).toContain("Access denied");
    const forged = await backUp(`ssl-mode=VERIFY_IDENTITY&ssl-ca=${selfSigned("DNS:localhost").file}`);
    expect(forged.status, forged.stderr).toBe(1);
    expect(forged.stderr).toContain("hint: TLS failed: check ssl-mode and ssl-ca");
    own.remove();
  });

  test("restores files that mysqldump made elsewhere, without a manifest", async () => {
    const text =
      "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'ü;'); CREATE VIEW v AS SELECT a FROM t;";
    await server.createDatabase("plain", text);
    const plain = await stateOf(server, "plain");
    const dir = tempDir("elsewhere");
    const file = join(dir, "dump.sql");
    await server.client(dumpName(family), [`--result-file=${file}`, "plain"]);
    await server.client(dumpName(family), [`--result-file=${join(dir, "databases.sql")}`, "--databases", "plain"]);
    Bun.spawnSync(["/bin/sh", "-c", "gzip -k dump.sql && zstd -q dump.sql"], { cwd: dir });
    const other = installScripts(server.settings("other"));
    for (const name of ["dump.sql", "dump.sql.gz", "dump.sql.zst", "databases.sql"]) {
      await server.dropDatabase("other");
      await server.createDatabase("other", "CREATE TABLE gone (a int)");
      const ran = await other.run("restore", [name, "--replace", "--drop-before"], { cwd: dir });
      expect(ran.status, ran.stderr).toBe(0);
      expect(ran.stderr).toContain("no manifest");
      await expectState(server, "other", plain);
    }
    other.remove();
  });

  test("rows above max_allowed_packet: the backup warns, the restore refuses before it touches anything, or loads", async () => {
    await server.createDatabase(
      "large",
      "CREATE TABLE big (id int PRIMARY KEY, a longblob); INSERT INTO big VALUES (1, '')",
    );
    const setLimit = (bytes: number) => server.sql("mysql", `SET GLOBAL max_allowed_packet = ${bytes}`);
    const known = () => server.sql("large", "SELECT length(a), sha2(a, 256) FROM big");
    await setLimit(64 << 20);
    await server.sql("large", "UPDATE big SET a = repeat(0x00ff5c270a, 12000000)");
    await setLimit(16 << 20);
    const before = await known();
    expect(before).toStartWith("60000000\t");
    const own = installScripts({ ...server.settings("large"), BACKUP_COMPRESSION: "zstd" });
    const ran = await own.run("backup");
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stderr).toMatch(/WARN .*longest row takes 114 MiB.*max_allowed_packet \(16 MiB\)/);
    const refused = await own.run("restore");
    expect(refused.status, refused.stderr).toBe(1);
    expect(refused.stderr).toContain("nothing was changed");
    expect(refused.stderr).toContain("SET GLOBAL max_allowed_packet = 134217728");
    await setLimit(134_217_728);
    await server.sql("large", "DELETE FROM big");
    const restored = await own.run("restore");
    expect(restored.status, restored.stderr).toBe(0);
    expect(await known()).toBe(before);
    own.remove();
  });

  test("tables of the engine ARCHIVE, which refuses rows below its next number, come back", async () => {
    const [archive] = (
      await server.sql("mysql", "SELECT support FROM information_schema.engines WHERE engine = 'ARCHIVE'")
    ).split("\n");
    if (archive !== "YES") return;
    await server.createDatabase(
      "filed",
      "CREATE TABLE f (id int AUTO_INCREMENT PRIMARY KEY, t text) ENGINE=ARCHIVE; INSERT INTO f (t) VALUES ('a'), ('b')",
    );
    const filed = await stateOf(server, "filed");
    const own = installScripts(server.settings("filed"));
    for (const script of ["backup", "verify", "restore"]) {
      const ran = await own.run(script);
      expect(ran.status, ran.stderr).toBe(0);
    }
    await expectState(server, "filed", filed);
    own.remove();
  });

  test("an empty database comes back empty, and nothing needs to be kept safe", async () => {
    await server.createDatabase("empty");
    const empty = await stateOf(server, "empty");
    const own = installScripts(server.settings("empty"));
    const ran = await own.run("backup");
    expect(ran.status, ran.stderr).toBe(0);
    const restored = await own.run("restore");
    expect(restored.status, restored.stderr).toBe(0);
    expect(existsSync(join(own.backups, "before-restore"))).toBe(false);
    await expectState(server, "empty", empty);
    expect(statSync(ran.stdout.trim()).mode & 0o777).toBe(0o600);
    own.remove();
  });
});
