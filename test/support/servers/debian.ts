/**
 * Programs from Debian's newer suites in `.cache/`, beside whatever the machine has installed: fetched with an apt state
 * of their own, and run with the C library they were built for.
 */
import {
  chmodSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join, relative } from "node:path";

export const cache = join(import.meta.dir, "../../../.cache");
/** Debian's signatures: what is fetched is checked against them. */
export const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

export interface Wanted {
  suites: readonly string[];
  packages: readonly string[];
  /** Which of the packages, and of those that they need, are fetched: libraries, not Perl and its like. */
  wanted: RegExp;
}

/** Fetches packages and unpacks them into the folder `root`. Throws when that fails. */
export function fetchPackages(root: string, wanted: Wanted): void {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, "apt-"));
  try {
    download(work, wanted);
    const fresh = join(work, "root");
    for (const deb of readdirSync(join(work, "deb"))) run(["dpkg", "-x", join(work, "deb", deb), fresh]);
    rmSync(root, { recursive: true, force: true });
    renameSync(fresh, root);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function download(work: string, { suites, packages, wanted }: Wanted): void {
  for (const dir of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(work, dir), { recursive: true });
  writeFileSync(join(work, "status"), "");
  const sources = suites.map((suite) => `deb [signed-by=${keyring}] ${debianMirror()} ${suite} main\n`);
  writeFileSync(join(work, "sources.list"), sources.join(""));
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
  const install = ["install", "-qq", "--no-install-recommends", "--print-uris", ...packages];
  const needed = run(["apt-get", ...options, ...install])
    .split("\n")
    .map((line) => line.split(" ")[1]?.replace(/_.*/, "") ?? "")
    .filter((name) => wanted.test(name));
  mkdirSync(join(work, "deb"));
  run(["apt-get", ...options, "download", "-qq", ...needed], join(work, "deb"));
}

/** The Debian mirror: DEBIAN_MIRROR, or the one that this machine gets Debian from. Throws on another system without it. */
export function debianMirror(): string {
  const files = globSync("/etc/apt/{sources.list,sources.list.d/*.{list,sources}}");
  const urls = files.flatMap((file) => readFileSync(file, "utf8").match(/^(deb |URIs:).*$/gm) ?? []);
  const mirror = urls.flatMap((line) => line.match(/\S+:\/\/\S+\/debian\/?(?=\s|$)/) ?? [])[0];
  const found = process.env.DEBIAN_MIRROR ?? mirror;
  if (!found) throw new Error("apt gets no Debian here: set DEBIAN_MIRROR to the address of a Debian mirror");
  return found;
}

/** Makes `target` a folder of scripts that run `programs` (paths within `root`) with the libraries of `root`. */
export function writeWrappers(root: string, target: string, programs: readonly string[]): void {
  const loader = globSync("usr/lib/*/ld-linux-*.so.*", { cwd: root })[0] ?? "no loader";
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  const up = `\${0%/*}/${relative(target, root)}`;
  for (const program of programs) {
    const words = [
      `"${up}/${loader}"`,
      "--library-path",
      `"${up}/${join(loader, "..")}"`,
      `"${up}/${program}"`,
      '"$@"',
    ];
    const file = join(target, basename(program));
    writeFileSync(file, `#!/bin/sh\nexec ${words.join(" ")}\n`);
    chmodSync(file, 0o755);
  }
}

/** What a command writes to its output. Throws with its words when it fails. */
export function run(command: string[], cwd?: string): string {
  const child = Bun.spawnSync(command, { cwd, stdout: "pipe", stderr: "pipe" });
  if (!child.success) throw new Error(`${command[0]} ${command.at(-1)}: ${child.stderr.toString().trim()}`);
  return child.stdout.toString();
}
