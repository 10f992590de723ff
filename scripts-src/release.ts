/**
 * Makes dist/: an archive for each platform, SHA256SUMS, and a list of what is inside (SBOM, CycloneDX).
 *   bun scripts-src/release.ts [--out DIR] [PLATFORM…]     linux-x64, linux-arm64, linux-x64-musl, linux-arm64-musl
 * Two runs on one commit give the same bytes: names are sorted, times are those of the commit, owners are root.
 */
import { $ } from "bun";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { compileInto, names, root } from "./compile.ts";

const platforms = ["linux-x64", "linux-arm64", "linux-x64-musl", "linux-arm64-musl"];
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };

const install = `# backup_scripts ${version}

1. Check the archive: sha256sum --check --ignore-missing SHA256SUMS
2. Unpack it where it shall live, as root: tar -xzf backup_scripts-${version}-PLATFORM.tar.gz -C /opt --no-same-owner
3. cd /opt/backup_scripts-${version} && cp example.env.sh .env.sh && chmod 600 .env.sh, then fill it in.
4. ./backup --dry-run checks everything and changes nothing.

For a PATH: ln -s /opt/backup_scripts-${version}/backup_scripts /usr/local/bin/, then backup_scripts restore and so on. (The folder itself in a
PATH would put its sync in front of the system's own.) Copy the folder with cp -a. Archives with musl are for Alpine Linux, all
others for distributions with glibc. An upgrade is a new folder beside the old one, with the old .env.sh and BACKUP_DIR.
DOCUMENTATION.md explains the rest.
`;

/** Time (s since 1970) of every file: that of the commit, or what SOURCE_DATE_EPOCH says. */
const epoch = async () =>
  process.env["SOURCE_DATE_EPOCH"] ?? (await $`git -C ${root} log -1 --format=%ct`.text()).trim();

/** Makes the archive of one platform in `out` and returns its path. */
async function pack(platform: string, out: string, time: string): Promise<string> {
  const work = mkdtempSync(join(tmpdir(), "release-"));
  const folder = join(work, `backup_scripts-${version}`);
  mkdirSync(folder, { mode: 0o755 });
  await compileInto(join(folder, "backup_scripts"), `bun-${platform}` as Bun.Build.CompileTarget);
  chmodSync(join(folder, "backup_scripts"), 0o755);
  for (const name of names.slice(1)) symlinkSync("backup_scripts", join(folder, name));
  for (const file of ["backup_scripts/example.env.sh", "backup_scripts/DOCUMENTATION.md", "CHANGELOG.md", "LICENSE"])
    copyFileSync(join(root, file), join(folder, basename(file)));
  writeFileSync(join(folder, "INSTALL.md"), install);
  writeFileSync(join(folder, "THIRD_PARTY_LICENSES.txt"), licenses(bundled()));
  const archive = join(out, `backup_scripts-${version}-${platform}.tar.gz`);
  const order = [
    "--sort=name",
    `--mtime=@${time}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--mode=u+rwX,go+rX,go-w",
  ];
  const tar = await $`tar ${order} --format=gnu -C ${work} -cf - ${basename(folder)}`.arrayBuffer();
  writeFileSync(archive, Bun.gzipSync(new Uint8Array(tar), { library: "libdeflate", level: 9 }));
  rmSync(work, { recursive: true });
  return archive;
}

interface Bundled {
  name: string;
  version: string;
  /** SPDX. */
  license: string;
  /** Its licence's text; of a package that brings none, where it can be read. */
  text: string;
}

interface PackageFile {
  name: string;
  version: string;
  license?: string;
  homepage?: string;
  dependencies?: Record<string, string>;
}

const readPackage = (folder: string) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as PackageFile;

/** Every package that is needed to run, sorted by name, and Bun itself. */
function bundled(): Bundled[] {
  const folders = new Set<string>();
  const visit = (folder: string) => {
    for (const name of Object.keys(readPackage(folder).dependencies ?? {})) {
      const found = dirname(Bun.resolveSync(`${name}/package.json`, folder));
      if (folders.has(found)) continue;
      folders.add(found);
      visit(found);
    }
  };
  visit(root);
  return [...folders, join(root, "node_modules/bun")].map(describe).toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function describe(folder: string): Bundled {
  const { name, version, license = "see its text", homepage } = readPackage(folder);
  const file = readdirSync(folder).find((one) => /^licen[cs]e/i.test(one));
  const elsewhere = homepage ?? `https://www.npmjs.com/package/${name}`;
  const text = file ? readFileSync(join(folder, file), "utf8").trim() : `The text of the licence: ${elsewhere}`;
  return { name, version, license, text };
}

/** One text with all of them. */
const licenses = (packages: readonly Bundled[]): string =>
  packages
    .map(({ name, version, license, text }) => `${name} ${version} (${license})\n\n${text}\n`)
    .join(`\n${"=".repeat(80)}\n\n`);

/** A list of them for programs: CycloneDX 1.6 as JSON. */
function sbom(version: string, timestamp: Date, packages: readonly Bundled[]): string {
  const components = packages.map(({ name, version: its, license }) => ({
    type: "library",
    name,
    version: its,
    purl: `pkg:npm/${name.replace("@", "%40")}@${its}`,
    licenses: [license.includes(" ") ? { license: { name: license } } : { license: { id: license } }],
  }));
  const component = { type: "application", name: "backup_scripts", version, licenses: [{ license: { id: "MIT" } }] };
  const bom = {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: { timestamp: timestamp.toISOString(), component },
    components,
  };
  return `${JSON.stringify(bom, undefined, 2)}\n`;
}

const { values, positionals } = parseArgs({ options: { out: { type: "string" } }, allowPositionals: true });
const out = resolve(values.out ?? join(root, "dist"));
mkdirSync(out, { recursive: true });
const time = await epoch();
const files = [join(out, `backup_scripts-${version}.cdx.json`)];
writeFileSync(files[0] ?? "", sbom(version, new Date(Number(time) * 1000), bundled()));
for (const platform of positionals.length > 0 ? positionals : platforms) files.push(await pack(platform, out, time));
const sums = files.map(
  (file) => `${new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex")}  ${basename(file)}`,
);
writeFileSync(join(out, "SHA256SUMS"), `${sums.join("\n")}\n`);
process.stdout.write(`${files.join("\n")}\n`);
