/** `bun test/support/setup.ts`: installs what the tests need and the machine lacks. Quick when nothing is missing. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { hasChromium } from "./machine/chromium.ts";
import { keyring } from "./servers/debian.ts";
import { canPodman, containerEngine, missingForPodman, podmanPackages } from "./servers/engine.ts";
import { fetchMysql } from "./servers/mysql-programs.ts";
import { fetchPostgresClients } from "./servers/newer-clients.ts";
import { fetchPgbouncer } from "./servers/pgbouncer.ts";

/** Programs and the Debian package that brings each. Tests of another engine or storage add their lines here. */
const packageOf = {
  pg_dump: "postgresql-client",
  psql: "postgresql-client",
  gzip: "gzip",
  zstd: "zstd",
  openssl: "openssl",
  "ceph-mon": "ceph-mon",
  "ceph-osd": "ceph-osd",
  radosgw: "radosgw",
  perl: "perl-base",
  faketime: "faketime",
  bindfs: "bindfs",
  strace: "strace",
  // the programs alone: the package mariadb-server would start a server of the system
  mariadbd: "mariadb-server-core",
  "mariadb-install-db": "mariadb-server-core",
  "mariadb-dump": "mariadb-client",
  mariadb: "mariadb-client",
  aws: "awscli",
  age: "age",
  "systemd-analyze": "systemd",
} as const;

type ProgramName = keyof typeof packageOf;

/** Installs the packages of the programs that are missing, or ends the process with the command that does. */
export function installPrograms(programs: readonly ProgramName[]): void {
  const missing = programs.filter((program) => !Bun.which(program, { PATH: `${process.env.PATH}:/usr/sbin:/sbin` }));
  if (missing.length > 0) aptInstall([...new Set(missing.map((program) => packageOf[program]))], missing);
}

const installing = "apt-get install -y -q --no-install-recommends".split(" ");

/** Installs Debian packages, or ends the process with the command that does. */
export function aptInstall(packages: readonly string[], missing: readonly string[]): void {
  const prefix = rootPrefix();
  if (!prefix || !Bun.which("apt-get"))
    return stop(
      `missing: ${missing.join(", ")}`,
      `run: sudo apt-get update && sudo ${[...installing, ...packages].join(" ")}`,
    );
  if (!install(prefix, packages)) stop(`could not install ${packages.join(", ")}`, "see apt-get's words above");
}

/** False, behind apt-get's words, where that fails. */
function install(prefix: string[], packages: readonly string[]): boolean {
  console.error(`installing ${packages.join(", ")} …`);
  const apt = (command: string[], stderr: "ignore" | "inherit" = "ignore"): boolean =>
    Bun.spawnSync([...prefix, "env", "DEBIAN_FRONTEND=noninteractive", ...command, "-o", "DPkg::Lock::Timeout=300"], {
      stdout: "ignore",
      stderr,
    }).success;
  const command = [...installing, ...packages];
  return apt(command) || (apt(["apt-get", "update", "-q"]), apt(command, "inherit"));
}

/** Debian's Chromium without a desktop (85 MB), and letters to draw. False where that cannot be had. */
function installChromium(): boolean {
  const prefix = Bun.which("apt-get") ? rootPrefix() : undefined;
  return prefix !== undefined && install(prefix, ["chromium-headless-shell", "fonts-dejavu-core"]);
}

/** What to put before a command that needs root: nothing for root, sudo where it asks no password, else undefined. */
function rootPrefix(): string[] | undefined {
  if (process.getuid?.() === 0) return [];
  return Bun.which("sudo") && spawnSync("sudo", ["-n", "true"]).status === 0 ? ["sudo", "-n"] : undefined;
}

function stop(problem: string, remedy: string): never {
  console.error(`setup: ${problem}\n${remedy}`);
  process.exit(1);
}

if (import.meta.main) {
  installPrograms(Object.keys(packageOf) as ProgramName[]);
  if (Bun.which("apt-get") && !existsSync(keyring)) aptInstall(["debian-archive-keyring"], [keyring]);
  const lacking = missingForPodman();
  if (containerEngine() === undefined && canPodman() && lacking.length > 0) aptInstall(podmanPackages, lacking);
  const problem = fetchPostgresClients();
  if (problem) stop(problem.message, problem.remedy);
  fetchPgbouncer();
  if (!hasChromium && !installChromium())
    console.error("setup: no Chromium; the tests of the report in a browser are left out");
  const mysql = fetchMysql();
  if (mysql) console.error(`setup: ${mysql}; the tests with MySQL are left out, those with MariaDB are not`);
}
