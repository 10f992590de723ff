/** The executables stand on their own: any folder, any name, any environment, and deaf to what lies around. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expectFailure } from "../support/expect/expect.ts";
import { type Installation, installScripts, startProgram } from "../support/machine/executables.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";

let place: Installation;
let elsewhere: string;
beforeEach(() => {
  place = installScripts();
  elsewhere = tempDir("elsewhere");
});
afterEach(() => {
  place.remove();
  removeDir(elsewhere);
});

const run = (argv: string[], options?: Parameters<typeof startProgram>[1]) => startProgram(argv, options).done;
const helpStart = /^backup_scripts \d+\.\d+\.\d+: /;

test("one file under several names", () => {
  expect(statSync(join(place.dir, "backup")).ino).toBe(statSync(join(place.dir, "restore")).ino);
  expect(statSync(join(place.dir, "backup")).ino).toBe(statSync(join(place.dir, "help")).ino);
});

describe("an executable finds out which script it is", () => {
  const shown = async (argv: string[], options?: Parameters<typeof startProgram>[1]) =>
    (await run(argv, options)).stdout.split("\n")[0];

  test("in an empty environment (env -i), from any folder", async () => {
    const { status, stdout } = await run(["/usr/bin/env", "-i", join(place.dir, "help")], { cwd: elsewhere });
    expect(status).toBe(0);
    expect(stdout).toMatch(helpStart);
  });

  test("copied alone to another place", async () => {
    copyFileSync(join(place.dir, "restore"), join(elsewhere, "restore"));
    expect(await shown([join(elsewhere, "restore"), "--help"])).toStartWith("Usage: restore ");
  });

  test("under a longer name", async () => {
    for (const name of ["backup-shop", "nightly_backup", "backup.bin"]) {
      linkSync(join(place.dir, "help"), join(place.dir, name));
      expect(await shown([join(place.dir, name), "--help"])).toStartWith("Usage: backup ");
    }
  });

  test("through a symbolic link, whose target's folder holds the settings", async () => {
    symlinkSync(join(place.dir, "backup"), join(elsewhere, "backup"));
    const { status, stderr } = await run([join(elsewhere, "backup")]);
    expect(status).toBe(2);
    expect(stderr).toContain(`missing: DATABASE_URL`);
    expect(stderr).toContain(join(place.dir, ".env.sh"));
  });

  test("looked up in $PATH", async () => {
    const env = { PATH: `${place.dir}:${process.env.PATH}` };
    expect(await shown(["/bin/sh", "-c", "restore --help"], { env, cwd: elsewhere })).toStartWith("Usage: restore ");
  });

  test("under a name that says nothing, by its first argument", async () => {
    linkSync(join(place.dir, "help"), join(place.dir, "tool"));
    expect(await shown([join(place.dir, "tool"), "restore", "--help"])).toStartWith("Usage: restore ");
    const { status, stderr } = await run([join(place.dir, "tool")]);
    expect(status).toBe(2);
    expect(stderr.trim().split("\n")).toEqual([
      expect.stringMatching(/^\S+Z ERROR backup_scripts: unknown script tool; known: backup, /),
      expect.stringMatching(/^\S+Z ERROR backup_scripts: hint: \S/),
    ]);
  });
});

describe("the program's own name always takes the first argument", () => {
  const shown = async (argv: string[]) => {
    const { status, stdout, stderr } = await run(argv);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return stdout;
  };
  for (const name of ["backup_scripts", "backup_scripts-0.2.0-linux-x64"])
    test(name, async () => {
      const program = join(place.dir, name);
      if (!existsSync(program)) linkSync(join(place.dir, "help"), program);
      expect(await shown([program, "restore", "--help"])).toStartWith("Usage: restore ");
      expect(await shown([program, "--version"])).toMatch(/^\d+\.\d+\.\d+\n$/);
      for (const words of [[], ["--help"], ["-h"]]) expect(await shown([program, ...words])).toMatch(helpStart);
    });

  test("one that is mistyped is named with the likely one, and nothing runs", async () => {
    for (const [word, hint] of [
      ["bakup", "did you mean backup?"],
      ["toString", "rename the file, or name the script as the first argument"],
      ["--dry-run", "rename the file, or name the script as the first argument"],
    ] as const) {
      const { status, stdout, stderr } = await run([join(place.dir, "backup_scripts"), word]);
      expect([status, stdout]).toEqual([2, ""]);
      expect(stderr).toContain(`unknown script ${word}; known: backup, restore, `);
      expect(stderr).toContain(`hint: ${hint}`);
    }
  });
});

describe("what lies in the current folder is neither run nor read", () => {
  const mark = () => join(elsewhere, "was-here");
  beforeEach(() => {
    writeFileSync(join(elsewhere, "evil.ts"), `require("node:fs").writeFileSync(${JSON.stringify(mark())}, "")`);
    writeFileSync(join(elsewhere, "bunfig.toml"), 'preload = ["./evil.ts"]\n[run]\npreload = ["./evil.ts"]\n');
    for (const name of [".env", ".env.local", ".env.production", ".env.development", ".env.sh"])
      writeFileSync(join(elsewhere, name), "DB_NAME=planted\nSITE_NAME=planted\nLOG_FORMAT=json\n");
    writeFileSync(join(elsewhere, "package.json"), '{"name": "planted", "version": "6.6.6", "main": "./evil.ts"}');
    writeFileSync(join(elsewhere, "tsconfig.json"), '{"compilerOptions": {"paths": {"*": ["./evil.ts"]}}}');
    mkdirSync(join(elsewhere, "node_modules/zx"), { recursive: true });
    writeFileSync(join(elsewhere, "node_modules/zx/index.js"), `require("../../evil.ts")`);
  });

  for (const script of ["help", "backup", "restore"])
    test(script, async () => {
      const { status, stdout, stderr } = await run([join(place.dir, script)], { cwd: elsewhere });
      expect(existsSync(mark())).toBeFalse();
      expect(stdout + stderr).not.toContain("planted");
      expect(stdout + stderr).not.toContain("6.6.6");
      if (script === "help") expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      else {
        expect(status).toBe(2);
        expect(stderr).toMatch(/ ERROR \w+: the settings are incomplete or wrong/);
        expect(stderr).toContain("missing: DATABASE_URL");
      }
    });

  test("not even with a home and a HOME that hold the same", async () => {
    const { stdout } = await run([join(place.dir, "help")], { cwd: elsewhere, env: { HOME: elsewhere } });
    expect(stdout).toMatch(helpStart);
    expect(existsSync(mark())).toBeFalse();
  });
});

test("--version prints one line, --help prints the usage, and neither needs settings", async () => {
  writeFileSync(join(place.dir, ".env.sh"), "what is this\n");
  chmodSync(join(place.dir, ".env.sh"), 0o666);
  for (const script of ["backup", "restore", "help"]) {
    expect(await place.run(script, ["--version"])).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      stderr: "",
    });
    const usage = await place.run(script, ["--help"]);
    expect({ status: usage.status, stderr: usage.stderr }).toEqual({ status: 0, stderr: "" });
    expect(usage.stdout).toStartWith(`Usage: ${script} `);
    for (const status of [0, 1, 2, 3, 4, 5]) expect(usage.stdout).toContain(`\n  ${status}  `);
  }
});

test.each([
  ["backup", ["--uplod"], "unknown argument: --uplod"],
  ["backup", ["extra"], "unknown argument: extra"],
  ["backup", ["extra", "--uplod"], "unknown arguments: extra, --uplod"],
  ["backup", ["--password=hunter22"], "unknown argument: --password\n"],
  ["restore", ["one", "two"], "unknown argument: two"],
  ["restore", ["--no-yes"], "unknown argument: --no-yes\n"],
  ["restore", ["--dry-run.x"], "unknown argument: --dry-run.x"],
  ["backup", ["--env-file"], "--env-file needs a value"],
  // behind -- there are no options
  ["backup", ["--", "--dry-run"], "unknown argument: --dry-run"],
  ["restore", ["--yes", "one", "--", "two"], "unknown argument: two"],
  ["restore", ["--", "one", "-two"], "unknown argument: -two"],
  // a flag is true, false or refused, never silently false
  ["restore", ["--dry-run=yes", "--yes"], "--dry-run takes no value but true or false"],
  ["restore", ["--from-s3=app.sql.gz"], "--from-s3 takes no value but true or false"],
  ["restore", ["-y=no"], "-y takes no value but true or false"],
  ["backup", ["--upload=maybe"], "--upload takes no value but true or false"],
  ["backup", ["--help=1"], "--help takes no value but true or false"],
] as const)("%s %j makes no sense: status 2, and a word about what is wrong", async (script, args, cause) => {
  const { status, stdout, stderr } = await place.run(script, [...args]);
  expect({ script, status, stdout }).toEqual({ script, status: 2, stdout: "" });
  expect(stderr).toContain(cause);
  expect(stderr).toContain(`hint: ${script} --help shows the usage`);
  expect(stderr).not.toContain("hunter22");
});

test.each([
  ["backup", ["--uplod"], "--upload"],
  ["backup", ["--up"], "--upload"],
  ["backup", ["--UPLOAD=true"], "--upload"],
  ["backup", ["dry-run"], "--dry-run"],
  ["restore", ["--from_s3"], "--from-s3"],
  ["restore", ["file", "x", "--dryrun"], "--dry-run"],
  ["schedule", ["--chek"], "--check"],
  ["backup", ["--password"], undefined],
  ["backup", ["extra"], undefined],
  ["backup", ["--", "--dry-run"], undefined],
] as const)("%s %j: did you mean %s?", async (script, args, likely) => {
  const { stderr } = await place.run(script, [...args]);
  expect(/did you mean (\S+)\?/.exec(stderr)?.[1]).toBe(likely);
});

test("a stdout that cannot be written to is named", async () => {
  const ran = await run(["/bin/sh", "-c", 'exec "$0" S3_PATH >/dev/full', join(place.dir, "help")]);
  expectFailure(ran, /the run is over, but its result cannot be written to stdout: ENOSPC/);
});

test("what stands behind -- is a name, whatever it looks like", async () => {
  expect((await place.run("help", ["--", "S3_BUCKET"])).stdout).toStartWith("S3_BUCKET ");
  for (const topic of ["--version", "0x10"])
    expect((await place.run("help", ["--", topic])).stderr).toContain(`no script, chapter or setting called ${topic}`);
});

test.each([
  [["--version=false", "S3_BUCKET"], /^S3_BUCKET /],
  [["--version=true", "S3_BUCKET"], /^\d/],
])("a flag may say true or false: %j", async (args, shown) => {
  expect((await place.run("help", args)).stdout).toMatch(shown);
});
