/**
 * PostgreSQL's client programs 17 and 18 in `.cache/pgclient-<major>/`, beside whatever the machine has installed:
 * fetched from Debian's newer suites with an apt state of their own, and run with the C library they were built for.
 */
import {
  chmodSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
} from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";

const cache = join(import.meta.dir, "../../.cache");
const suiteOf = { 17: "trixie", 18: "sid" } as const;
const majors = [17, 18] as const;
/** Debian's signatures: what is fetched is checked against them. */
export const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
/** Of the packages that the clients depend on: the C libraries, not Perl and its like, which only wrappers need. */
const wanted = /^(lib(?!perl|db5|gdbm)|postgresql-client-\d|zlib1g)/;

export type NewerMajor = keyof typeof suiteOf;

/** Folder with the client programs of that major version; a value for DB_CLIENT_DIR. */
export const newerClientDir = (major: NewerMajor): string => join(cache, `pgclient-${major}`);

/** Fetches what is not there yet (a download of 15 MB). What it returns went wrong. */
export function fetchPostgresClients(): { message: string; remedy: string } | undefined {
  if (majors.every(works)) return undefined;
  const remedy = majors.map((n) => `put PostgreSQL ${n}'s pg_dump and psql into ${newerClientDir(n)}`).join("\n");
  if (!Bun.which("apt-get")) return { message: "no PostgreSQL clients 17 and 18, and no apt-get", remedy };
  console.error("fetching PostgreSQL clients 17 and 18 …");
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "apt-"));
  try {
    download(work);
    unpack(work);
    if (!majors.every(works)) throw new Error("they were fetched but do not run");
    return undefined;
  } catch (error) {
    return { message: `no PostgreSQL clients 17 and 18: ${String(error)}`, remedy };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function works(major: NewerMajor): boolean {
  const program = join(newerClientDir(major), "pg_dump");
  return existsSync(program) && run([program, "--version"]).includes(` ${major}.`);
}

function download(work: string): void {
  for (const dir of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(work, dir), { recursive: true });
  writeFileSync(join(work, "status"), "");
  const suites = Object.values(suiteOf).map((suite) => `deb [signed-by=${keyring}] ${debianMirror()} ${suite} main\n`);
  writeFileSync(join(work, "sources.list"), suites.join(""));
  const state = {
    "Dir::Etc::sourcelist": join(work, "sources.list"),
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::State::lists": join(work, "lists"),
    "Dir::State::status": join(work, "status"),
    "Dir::Cache": join(work, "cache"),
    "APT::Sandbox::User": "",
    "APT::Get::Assume-Yes": "true",
    "Debug::NoLocking": "true",
  };
  const options = Object.entries(state).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  run(["apt-get", ...options, "update", "-qq"]);
  const needed = run([
    "apt-get",
    ...options,
    "install",
    "-qq",
    "--no-install-recommends",
    "--print-uris",
    ...packages(),
  ])
    .split("\n")
    .map((line) => line.split(" ")[1]?.replace(/_.*/, "") ?? "")
    .filter((name) => wanted.test(name));
  mkdirSync(join(work, "deb"));
  run(["apt-get", ...options, "download", "-qq", ...needed], join(work, "deb"));
}

const packages = () => majors.map((major) => `postgresql-client-${major}`);

/** The mirror that this machine gets Debian from; Debian's own elsewhere. */
export function debianMirror(): string {
  const files = globSync("/etc/apt/{sources.list,sources.list.d/*.{list,sources}}");
  const urls = files.flatMap((file) => readFileSync(file, "utf8").match(/^(deb |URIs:).*$/gm) ?? []);
  const mirror = urls.flatMap((line) => line.match(/\S+:\/\/\S+\/debian\/?(?=\s|$)/) ?? [])[0];
  return mirror ?? "http://deb.debian.org/debian";
}

/** One folder with the programs and libraries of both versions, and a folder of wrappers for each. */
function unpack(work: string): void {
  const root = join(cache, "pgclient-root");
  const fresh = join(work, "root");
  for (const deb of readdirSync(join(work, "deb"))) run(["dpkg", "-x", join(work, "deb", deb), fresh]);
  rmSync(root, { recursive: true, force: true });
  renameSync(fresh, root);
  for (const major of majors) writeWrappers(root, major);
}

function writeWrappers(root: string, major: NewerMajor): void {
  const inRoot = (pattern: string) => globSync(pattern, { cwd: root })[0] ?? pattern;
  const loader = inRoot("usr/lib/*/ld-linux-*.so.*");
  const libraries = join(loader, "..");
  const bin = `usr/lib/postgresql/${major}/bin`;
  const target = newerClientDir(major);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  const up = `\${0%/*}/${relative(target, root)}`;
  for (const program of readdirSync(join(root, bin))) {
    const words = [`"${up}/${loader}"`, "--library-path", `"${up}/${libraries}"`, `"${up}/${bin}/${program}"`, '"$@"'];
    writeFileSync(join(target, program), `#!/bin/sh\nexec ${words.join(" ")}\n`);
    chmodSync(join(target, program), 0o755);
  }
}

function run(command: string[], cwd?: string): string {
  const child = Bun.spawnSync(command, { cwd, stdout: "pipe", stderr: "pipe" });
  if (!child.success) throw new Error(`${command[0]} ${command.at(-1)}: ${child.stderr.toString().trim()}`);
  return child.stdout.toString();
}
