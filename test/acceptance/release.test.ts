/** `bun run release`: an archive that works where nothing else is, the same bytes each time, and all that must be inside. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { copyFileSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { startProgram } from "../support/machine/executables.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";
import { testWhere } from "../support/machine/where.ts";

setDefaultTimeout(180_000);
const root = resolve(import.meta.dir, "../..");
const { version, dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  version: string;
  dependencies: Record<string, string>;
};
const dir = tempDir("release");
afterAll(() => removeDir(dir));
const [platform, loader] =
  process.arch === "x64" ? ["linux-x64", "/lib64/ld-linux-x86-64.so.2"] : ["linux-arm64", "/lib/ld-linux-aarch64.so.1"];
const name = `backup_scripts-${version}`;
const archive = `${name}-${platform}.tar.gz`;

async function release(out: string) {
  const script = join(root, "scripts-src/release.ts");
  const env = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/" };
  const { status, stderr } = await startProgram([process.execPath, script, "--out", out, platform], { env, cwd: root })
    .done;
  expect(status, stderr).toBe(0);
}
const sumsIn = (out: string) => readFileSync(join(out, "SHA256SUMS"), "utf8");

beforeAll(async () => {
  await release(join(dir, "one"));
  expect(Bun.spawnSync(["tar", "-xzf", join(dir, "one", archive), "-C", dir]).exitCode).toBe(0);
});

test("two runs on one commit give the same bytes", async () => {
  await release(join(dir, "two"));
  expect(sumsIn(join(dir, "two"))).toBe(sumsIn(join(dir, "one")));
  const check = Bun.spawnSync(["sha256sum", "--check", "SHA256SUMS"], { cwd: join(dir, "two") });
  expect(check.exitCode).toBe(0);
});

test("holds what a user needs, and the licence of everything that is bundled", () => {
  const read = (file: string) => readFileSync(join(dir, name, file), "utf8");
  for (const file of ["example.env.sh", "DOCUMENTATION.md", "LICENSE", "CHANGELOG.md", "INSTALL.md"])
    expect(read(file).length).toBeGreaterThan(100);
  expect(statSync(join(dir, name, "restore")).mode & 0o777).toBe(0o755);
  const sbom = JSON.parse(readFileSync(join(dir, "one", `${name}.cdx.json`), "utf8")) as {
    bomFormat: string;
    components: { name: string; version: string }[];
  };
  expect(sbom.bomFormat).toBe("CycloneDX");
  for (const [dependency, wanted] of Object.entries(dependencies)) {
    expect(sbom.components).toContainEqual(expect.objectContaining({ name: dependency, version: wanted }));
    expect(read("THIRD_PARTY_LICENSES.txt")).toContain(`${dependency} ${wanted} (`);
  }
});

testWhere(process.getuid?.() === 0, "root")("runs in a root that holds nothing but the C library", async () => {
  const bare = join(dir, "bare");
  const program = join(dir, name, "backup_scripts");
  const libraries = [
    ...Bun.spawnSync(["ldd", program])
      .stdout.toString()
      .matchAll(/(\/lib\S+)/g),
  ].map(([, path = ""]) => path);
  for (const path of [...libraries, loader ?? ""]) {
    mkdirSync(dirname(join(bare, path)), { recursive: true });
    copyFileSync(path, join(bare, path));
  }
  for (const folder of ["opt", "dev", "proc"]) mkdirSync(join(bare, folder));
  expect(Bun.spawnSync(["cp", "-a", join(dir, name), join(bare, "opt")]).exitCode).toBe(0);
  // as a container "from scratch" has them
  const mounts = 'mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && exec chroot "$0" "$@"';
  const run = (...words: string[]) => startProgram(["unshare", "--mount", "sh", "-c", mounts, bare, ...words]).done;
  expect(await run(`/opt/${name}/backup_scripts`, "--version")).toMatchObject({ status: 0, stdout: `${version}\n` });
  expect((await run(`/opt/${name}/help`)).stdout).toContain("S3_BUCKET");
  const backup = await run(`/opt/${name}/backup`);
  expect([backup.status, backup.stderr]).toEqual([2, expect.stringContaining(`there is no /opt/${name}/.env.sh`)]);
});
