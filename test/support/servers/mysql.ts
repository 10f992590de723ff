/** Real MariaDB and MySQL servers for tests, in a temporary folder on a free port; never the system's own. */
import { chownSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { hasMysql, mysqlDir, mysqlRoot } from "./mysql-programs.ts";
import { freePort } from "./postgres.ts";
import type { DatabaseServer, Login } from "./server.ts";
import { removeDir, tempDir } from "../machine/temp.ts";
import { until } from "../machine/until.ts";

export type Family = "mariadb" | "mysql";
/** The families of which this machine has a server. */
export const families: readonly Family[] = hasMysql() ? ["mariadb", "mysql"] : ["mariadb"];

export interface MysqlServer extends DatabaseServer {
  family: Family;
  socket: string;
  /** Folder of its data. */
  data: string;
  /** An option file with the administrator's login. */
  loginFile: string;
  /** `mysql://…` by default; `query` is what follows the question mark. */
  url(database: string, login?: Login, query?: string): string;
  /** Runs a client program with the administrator's login. */
  client(program: string, words: readonly string[], stdin?: Blob): Promise<string>;
}

/** Starts a server; `parameters` are options of it, without dashes. Stop it in `afterAll`. */
export async function startMysql(family: Family, parameters: Record<string, string> = {}): Promise<MysqlServer> {
  const home = tempDir(family);
  const data = join(home, "data");
  const password = `super-${crypto.randomUUID()}`;
  const port = freePort();
  const socket = join(home, "server.sock");
  const clientDir = family === "mysql" ? mysqlDir : dirname(Bun.which("mariadb") ?? "/usr/bin/mariadb");
  if (process.getuid?.() === 0) chownSync(home, userOf(family), userOf(family));
  await install(family, data, home);
  const init = join(home, "init.sql");
  const admin = `'admin'@'%'`;
  const statements = [
    `CREATE USER IF NOT EXISTS ${admin} IDENTIFIED BY '${password}'`,
    `GRANT ALL PRIVILEGES ON *.* TO ${admin} WITH GRANT OPTION`,
  ];
  writeFileSync(init, statements.map((statement) => `${statement};\n`).join(""), { mode: 0o644 });
  const argv = [
    ...serverArgv(family, data),
    ...configuration(home, port, socket, { "init-file": init, ...parameters }),
  ];
  const login = join(home, "admin.cnf");
  writeFileSync(login, `[client]\nuser=admin\npassword="${password}"\nhost=127.0.0.1\nport=${port}\nprotocol=TCP\n`, {
    mode: 0o600,
  });
  const operations = operationsOf({ family, port, socket, user: "admin", password, clientDir, data, loginFile: login });
  let server = await launch(family, argv, home, operations.sql);
  const crash = async () => {
    server.kill("SIGKILL");
    await server.exited;
  };
  return {
    ...operations,
    crash,
    async restart() {
      server = await launch(family, argv, home, operations.sql);
    },
    async stop() {
      await crash();
      removeDir(home);
    },
  };
}

type Facts = Pick<MysqlServer, "family" | "port" | "socket" | "user" | "password" | "clientDir" | "data" | "loginFile">;

function operationsOf(facts: Facts): Omit<MysqlServer, "crash" | "restart" | "stop"> {
  const url = (database: string, login: Login = {}, query = "") => {
    const [user, password] = [login.user ?? facts.user, login.password ?? facts.password].map(encodeURIComponent);
    const name = encodeURIComponent(database);
    return `mysql://${user}:${password}@127.0.0.1:${facts.port}/${name}${query ? `?${query}` : ""}`;
  };
  const settings = (database: string, { user = facts.user, password = facts.password }: Login = {}) => ({
    DB_TYPE: facts.family,
    DB_HOST: "127.0.0.1",
    DB_PORT: String(facts.port),
    DB_NAME: database,
    DB_USER: user,
    DB_PASSWORD: password,
    ...(facts.family === "mysql" ? { DB_CLIENT_DIR: facts.clientDir } : {}),
  });
  const client = async (program: string, words: readonly string[], stdin: Blob = new Blob([])) => {
    const argv = [join(facts.clientDir, program), `--defaults-file=${facts.loginFile}`, ...words];
    const child = Bun.spawn(argv, { stdin, stdout: "pipe", stderr: "pipe" });
    const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) !== 0) throw new Error(`${program}: ${err.trim().slice(-2000)}`);
    return out;
  };
  const sql = async (database: string, text: string) => {
    const words = ["--batch", "--raw", "--skip-column-names", "--binary-mode", "--comments", "--max-allowed-packet=1G"];
    const all = [...words, "--default-character-set=utf8mb4", `--database=${database}`];
    return (await client(clientName(facts.family), all, new Blob([text]))).replace(/\n$/, "");
  };
  const createDatabase = async (name: string, text = "") => {
    await sql("mysql", `CREATE DATABASE ${identifier(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci`);
    if (text) await sql(name, text);
  };
  const dropDatabase = async (name: string) => {
    await sql("mysql", `DROP DATABASE IF EXISTS ${identifier(name)}`);
  };
  const databases = async (like = "%") =>
    (await sql("mysql", `SHOW DATABASES LIKE '${like}'`)).split("\n").filter(Boolean);
  return { ...facts, url, settings, client, sql, createDatabase, dropDatabase, databases };
}

/** A name as SQL wants it. */
export const identifier = (name: string): string => `\`${name.replaceAll("`", "``")}\``;
/** A text as SQL wants it. */
export const literal = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`;

export const clientName = (family: Family): string => (family === "mysql" ? "mysql" : "mariadb");
export const dumpName = (family: Family): string => (family === "mysql" ? "mysqldump" : "mariadb-dump");

/** MariaDB's processes are nobody's; MySQL's programs may lie where nobody cannot read (below a closed home folder). */
const userOf = (family: Family): number => (family === "mariadb" ? 65_534 : 0);

/** As that user, and ended by the kernel when the test run dies. */
function asUser(family: Family, argv: string[]): string[] {
  if (!Bun.which("setpriv")) return argv;
  const id = userOf(family);
  const user = process.getuid?.() === 0 && id > 0 ? [`--reuid=${id}`, `--regid=${id}`, "--clear-groups"] : [];
  return ["setpriv", "--pdeathsig", "KILL", ...user, "--", ...argv];
}

const mysqlFiles = [
  `--lc-messages-dir=${join(mysqlRoot, "usr/share/mysql")}`,
  `--character-sets-dir=${join(mysqlRoot, "usr/share/mysql/charsets")}`,
  `--plugin-dir=${join(mysqlRoot, "usr/lib/mysql/plugin")}`,
];

const serverArgv = (family: Family, data: string): string[] =>
  family === "mysql"
    ? [join(mysqlDir, "mysqld"), "--no-defaults", "--user=root", `--datadir=${data}`, ...mysqlFiles, "--mysqlx=OFF"]
    : [
        Bun.which("mariadbd", { PATH: "/usr/sbin:/usr/local/sbin" }) ?? "mariadbd",
        "--no-defaults",
        `--datadir=${data}`,
      ];

function installer(family: Family, data: string): string[] {
  if (family === "mysql") return [...serverArgv(family, data), "--initialize-insecure", "--secure-file-priv=NULL"];
  const words = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"];
  return ["mariadb-install-db", "--no-defaults", `--datadir=${data}`, ...words];
}

/** A server that starts deletes whatever another one has in the same folder for temporary tables. */
const environment = (home: string) => ({ ...process.env, TMPDIR: home });

async function install(family: Family, data: string, home: string): Promise<void> {
  const argv = asUser(family, installer(family, data));
  const options = { cwd: home, env: environment(home), timeout: 120_000 };
  const child = Bun.spawn(argv, { ...options, stdin: "ignore", stdout: "ignore", stderr: "pipe" });
  const words = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`${family} cannot be set up: ${words}`);
}

function configuration(home: string, port: number, socket: string, parameters: Record<string, string>): string[] {
  const all = {
    port: String(port),
    "bind-address": "127.0.0.1",
    socket,
    "pid-file": join(home, "server.pid"),
    "secure-file-priv": home,
    "character-set-server": "utf8mb4",
    "performance-schema": "OFF",
    "skip-name-resolve": "ON",
    "skip-log-bin": "ON",
    "innodb-buffer-pool-size": "64M",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "OFF",
    "innodb-flush-method": "nosync",
    "log-error": join(home, "server.log"),
    ...parameters,
  };
  return Object.entries(all).map(([name, value]) => `--${name}=${value}`);
}

/** Starts the server; one that hangs while it recovers from a crash is ended and started again, once, as a supervisor would. */
async function launch(
  family: Family,
  argv: string[],
  home: string,
  sql: MysqlServer["sql"],
  isLast = false,
): Promise<Bun.Subprocess<"ignore", "ignore", "ignore">> {
  const options = { cwd: home, env: environment(home) };
  const server = Bun.spawn(asUser(family, argv), { ...options, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  const log = () => `${argv[0]}: ${readFileSync(join(home, "server.log"), "utf8").slice(-3000)}`;
  let answer = "";
  const isUp = async () => {
    if (server.exitCode !== null) throw new Error(log());
    answer = await sql("mysql", "SELECT 1").catch(String);
    return answer === "1";
  };
  const started = until(`${family} starts`, isUp, 60_000);
  const problem = await started.then(
    () => undefined,
    (error: unknown) => `${String(error)}\n${answer}\n${log()}`,
  );
  if (problem === undefined) return server;
  server.kill("SIGKILL");
  await server.exited;
  if (isLast) throw new Error(problem);
  console.log(`started again: ${problem}`);
  return launch(family, argv, home, sql, true);
}
