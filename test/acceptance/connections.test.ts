/** The ways to name a database, with passwords that have broken other tools; and no secret in anything that is said. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pausingDump } from "../support/servers/clients.ts";
import { installScripts, startProgram } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { hasIpv6, literal, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { expectNoSecrets } from "../support/expect/secrets.ts";
import { tempDir } from "../support/machine/temp.ts";
import { testWhere } from "../support/machine/where.ts";

let server: PostgresServer;

/** Every character that has a meaning in a shell, a URL, a libpq string or an option file. */
const password = `p$HOME \${x} @#%41:/?&=+;'"\\ \`id\` ä€ !*(){}[]|<>~^,.`;
const login = { user: "o'brien @ home", password };
const encoded = (text: string) => encodeURIComponent(text).replaceAll("'", "%27");
const quoted = (text: string) => `'${text.replaceAll(/[\\']/g, "\\$&")}'`;

beforeAll(async () => {
  server = await startPostgres(15);
  const role = `"${login.user}"`;
  await server.sql("postgres", `CREATE ROLE ${role} LOGIN PASSWORD ${literal(password)}`);
  await server.createDatabase(
    "app",
    `CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t OWNER TO ${role}; ALTER SCHEMA public OWNER TO ${role}`,
  );
});
afterAll(() => server.stop());

/** Backs up and restores with these settings in the file and in the environment; no secret may be said, even at debug. */
async function expectWorks(file: Record<string, string>, env: Record<string, string> = {}): Promise<void> {
  const scripts = installScripts({ ...file, LOG_LEVEL: "debug" });
  const saved = await scripts.run("backup", [], { env });
  expectSuccess(saved);
  const restored = await scripts.run("restore", [], { env });
  expectSuccess(restored);
  const manifest = await Bun.file(`${saved.stdout.trim()}.json`).text();
  const said = [saved.stdout, saved.stderr, restored.stdout, restored.stderr, manifest];
  expectNoSecrets(said.join("\n"), [password, server.password]);
}

const uri = (scheme: string) => `${scheme}://${encoded(login.user)}:${encoded(password)}@127.0.0.1:${server.port}/app`;

describe("a password with every odd character", () => {
  test("in DATABASE_URL", () => expectWorks({ DATABASE_URL: uri("postgres") }));
  test("in DATABASE_URL with postgresql://", () => expectWorks({ DATABASE_URL: uri("postgresql") }));
  test("in POSTGRES_CONNECTION_STRING as a URI", () => expectWorks({ POSTGRES_CONNECTION_STRING: uri("postgresql") }));

  test("in POSTGRES_CONNECTION_STRING in keyword form", () => {
    const words = `host=127.0.0.1 port = ${server.port} dbname=app user=${quoted(login.user)} password=${quoted(password)}`;
    return expectWorks({}, { POSTGRES_CONNECTION_STRING: words });
  });

  test("in DB_PASSWORD", () => {
    const { DB_PASSWORD = "", DB_USER = "", ...rest } = server.settings("app", login);
    return expectWorks({ ...rest, DB_USER }, { DB_PASSWORD });
  });

  test("in the file that DB_PASSWORD_FILE names", () => {
    const { DB_PASSWORD = "", ...rest } = server.settings("app", login);
    const file = join(tempDir("secret"), "password");
    writeFileSync(file, `${DB_PASSWORD}\n`, { mode: 0o600 });
    return expectWorks({ ...rest, DB_PASSWORD_FILE: file });
  });

  test("in the file that DATABASE_URL_FILE names", () => {
    const file = join(tempDir("secret"), "url");
    writeFileSync(file, uri("postgres"), { mode: 0o600 });
    return expectWorks({ DATABASE_URL_FILE: file });
  });

  test("in .env.sh, in single quotes and in double quotes", async () => {
    for (const simple of ['a$b`c"d\\e #f', "it's @#% :/ ä"]) {
      await server.sql(
        "postgres",
        `DROP ROLE IF EXISTS simple; CREATE ROLE simple SUPERUSER LOGIN PASSWORD ${literal(simple)}`,
      );
      await expectWorks(server.settings("app", { user: "simple", password: simple }));
    }
  });

  test("that is wrong is not said either", async () => {
    const wrong = `wrong ${password}`;
    for (const env of [
      { DATABASE_URL: `postgres://x:${encoded(wrong)}@127.0.0.1:${server.port}/app` },
      { POSTGRES_CONNECTION_STRING: `host=127.0.0.1 port=${server.port} dbname=app user=x password=${quoted(wrong)}` },
      server.settings("app", { password: wrong }),
    ]) {
      const ran = await installScripts({ LOG_LEVEL: "debug" }).run("backup", [], { env });
      expect(ran.status).toBe(1);
      expect(ran.stderr).toContain("password authentication failed");
      expectNoSecrets(ran.stderr, [wrong, password]);
    }
  });
});

test("no secret is on a command line of ours or of what we start", async () => {
  const dump = pausingDump(server.clientDir, 100);
  const scripts = installScripts({ DATABASE_URL: server.url("app"), DB_CLIENT_DIR: dump.clientDir });
  const running = scripts.start("backup");
  await dump.paused();
  const processes = Bun.spawnSync(["ps", "-eww", "-o", "args"]).stdout.toString();
  dump.resume();
  expectSuccess(await running.done);
  expect(processes).toContain("pg_dump");
  expectNoSecrets(processes, [server.password]);
});

test("S10: options= reaches the server, but no command line", async () => {
  const seen = join(tempDir("environment"), "environment");
  const dump = pausingDump(server.clientDir, 100, undefined, `tr '\\0' '\\n' < /proc/$$/environ > '${seen}'`);
  const url = `${server.url("app")}?options=-c%20app.key%3Dsecret-in-options%20-c%20work_mem%3D7MB`;
  const scripts = installScripts({ DATABASE_URL: url, DB_CLIENT_DIR: dump.clientDir, LOG_LEVEL: "debug" });
  const running = scripts.start("backup");
  await dump.paused();
  const processes = Bun.spawnSync(["ps", "-eww", "-o", "args"]).stdout.toString();
  dump.resume();
  const ran = await running.done;
  expectSuccess(ran);
  expect(processes).toContain("pg_dump");
  expectNoSecrets(processes + ran.stderr, ["secret-in-options"]);
  expect(readFileSync(seen, "utf8")).toContain("PGOPTIONS=-c app.key=secret-in-options -c work_mem=7MB\n");
});

test("S10: a keyword that libpq does not know is refused by its name, and no value is repeated", async () => {
  for (const [parameters, words] of [
    ["passwrd=SECRET", "there is no keyword passwrd; did you mean password?"],
    ["sslmood=SECRET", "there is no keyword sslmood; did you mean sslmode?"],
    ["pgbouncer=SECRET", "libpq knows no keyword pgbouncer"],
    ["password=SECRET&SECRET=x", "what follows password holds a keyword that libpq does not know"],
  ] as const) {
    const ran = await installScripts({ DATABASE_URL: `${server.url("app")}?${parameters}` }).run("backup");
    expectFailure(ran, new RegExp(RegExp.escape(words)), 2);
    expect(ran.stderr).not.toContain("SECRET");
  }
});

test("a Unix socket: DB_HOST, a URL's host parameter, an encoded host, and host= name it", async () => {
  const { socketDir, port, user, password: plain } = server;
  const socket = encodeURIComponent(socketDir);
  await expectWorks({ ...server.settings("app"), DB_HOST: socketDir });
  await expectWorks({ DATABASE_URL: `postgres:///app?host=${socketDir}&port=${port}&user=${user}&password=${plain}` });
  await expectWorks({ DATABASE_URL: `postgres://${user}:${plain}@${socket}:${port}/app` });
  await expectWorks({
    POSTGRES_CONNECTION_STRING: `host=${socketDir} port=${port} dbname=app user=${user} password=${plain}`,
  });
});

testWhere(hasIpv6(), "IPv6")("an IPv6 address: in parts, in a URL, in keyword form", async () => {
  const { port, user, password: plain } = server;
  await expectWorks({ ...server.settings("app"), DB_HOST: "::1" });
  await expectWorks({ DATABASE_URL: `postgres://${user}:${plain}@[::1]:${port}/app` });
  await expectWorks({ POSTGRES_CONNECTION_STRING: `host=::1 port=${port} dbname=app user=${user} password=${plain}` });
});

test("sslmode and the other options of libpq are passed through", async () => {
  const url = server.url("app");
  await expectWorks({ DATABASE_URL: `${url}?sslmode=disable&connect_timeout=50&options=-c%20lock_timeout%3D5000` });
  const tls = installScripts({ DATABASE_URL: `${url}?sslmode=require` });
  expectFailure(await tls.run("backup"), /server does not support SSL, but SSL was required/);
  const unknown = installScripts({ DATABASE_URL: `${url}?sslmood=require` });
  expectFailure(await unknown.run("backup"), /sslmood/, 2);
  const twoHosts = `host=127.0.0.1,127.0.0.1 port=1,${server.port} dbname=app user=postgres password=${server.password}`;
  await expectWorks({ POSTGRES_CONNECTION_STRING: twoHosts });
});

testWhere(process.getuid?.() === 0 && Bun.which("setpriv") !== null, "root and setpriv")(
  "a present folder that the user may not enter (sudo -u backup, typed in /root) is no obstacle",
  async () => {
    const scripts = installScripts();
    rmSync(join(scripts.dir, ".env.sh"));
    chmodSync(scripts.dir, 0o755);
    mkdirSync(scripts.backups, { mode: 0o700 });
    chownSync(scripts.backups, 65_534, 65_534);
    const asNobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const closed = { cwd: tempDir("closed"), env: server.settings("app") };
    for (const script of ["backup", "restore"])
      expectSuccess(await startProgram([...asNobody, join(scripts.dir, script)], closed).done);
  },
);

test("variables of libpq in the environment do not lead elsewhere", async () => {
  const env = {
    PGHOST: "nowhere.invalid",
    PGHOSTADDR: "127.255.255.254",
    PGDATABASE: "nowhere",
    PGPORT: "1",
    PGUSER: "nobody",
    PGPASSWORD: "nothing",
  };
  await expectWorks(server.settings("app"), env);
  // where the URL leaves the port to libpq, the log names the one that libpq takes
  const { user, password, host, port } = server;
  const scripts = installScripts({ DATABASE_URL: `postgres://${user}:${password}@${host}/app` });
  const ran = await scripts.run("backup", [], { env: { ...env, PGPORT: String(port) } });
  expectSuccess(ran);
  expect(ran.stderr).toContain(`postgresql://${host}:${port}/app`);
});

test("two ways at once are refused", async () => {
  const scripts = installScripts({ ...server.settings("app"), DATABASE_URL: server.url("app") });
  const ran = await scripts.run("backup");
  expectFailure(ran, /DATABASE_URL.*DB_HOST|DB_HOST.*DATABASE_URL/s, 2);
});
