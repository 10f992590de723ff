/** A real PgBouncer in front of a server: fetched to `.cache/`, because its package would start a service of the system. */
import { chownSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cache, fetchPackages, writeWrappers } from "./debian.ts";
import { freePort, type PostgresServer } from "./postgres.ts";
import { removeDir, tempDir } from "../machine/temp.ts";
import { until } from "../machine/until.ts";

const programs = join(cache, "pgbouncer");
/** It refuses to run as root: then it is this user's (nobody). */
const unprivileged = process.getuid?.() === 0 ? 65_534 : undefined;

/** Fetches it where it is not there yet. Throws when that fails. */
export function fetchPgbouncer(): void {
  if (existsSync(programs)) return;
  console.error("fetching PgBouncer …");
  const root = join(cache, "pgbouncer-root");
  fetchPackages(root, { suites: ["trixie"], packages: ["pgbouncer"], wanted: /^(lib(?!perl)|pgbouncer$|zlib1g)/ });
  writeWrappers(root, programs, ["usr/sbin/pgbouncer"]);
}

export interface Pooler {
  port: number;
  stop(): Promise<void>;
}

/** Starts one on 127.0.0.1. In transaction mode it carries out two transactions of a database at a time. */
export async function startPgbouncer(
  server: PostgresServer,
  mode: "transaction" | "session",
  size = mode === "transaction" ? 2 : 10,
): Promise<Pooler> {
  const home = tempDir("pgbouncer");
  const port = freePort();
  const [users, ini, log] = ["users", "ini", "log"].map((name) => join(home, name)) as [string, string, string];
  const options = {
    listen_addr: "127.0.0.1",
    listen_port: port,
    unix_socket_dir: "",
    auth_type: "plain",
    auth_file: users,
    pool_mode: mode,
    default_pool_size: size,
    logfile: log,
  };
  const lines = Object.entries(options).map(([name, value]) => `${name} = ${value}\n`);
  writeFileSync(users, `"${server.user}" "${server.password}"\n`);
  writeFileSync(ini, `[databases]\n* = host=${server.host} port=${server.port}\n[pgbouncer]\n${lines.join("")}`);
  writeFileSync(log, "");
  if (unprivileged !== undefined)
    for (const path of [home, users, ini, log]) chownSync(path, unprivileged, unprivileged);
  const identity = unprivileged === undefined ? {} : { uid: unprivileged, gid: unprivileged };
  const child = Bun.spawn([join(programs, "pgbouncer"), "--quiet", ini], {
    ...identity,
    stdout: "ignore",
    stderr: "ignore",
  });
  const stop = async () => {
    child.kill();
    await child.exited;
    removeDir(home);
  };
  await until("PgBouncer listens", async () => {
    if (child.exitCode !== null) throw new Error(`PgBouncer ended: ${await Bun.file(log).text()}`);
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } }).catch(() => undefined);
    socket?.end();
    return socket !== undefined;
  });
  return { port, stop };
}
