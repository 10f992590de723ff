/** Shell requirement 6, on the built executable. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, constants, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { scripts } from "../../scripts-src/scripts/scripts.ts";
import { aboutSetting, secretNames, settingNames } from "../../scripts-src/settings/settings.ts";
import { providers } from "../../scripts-src/manual/providers.ts";
import { type Installation, installScripts, startOnTerminal, startProgram } from "../support/machine/executables.ts";

let place: Installation;
let all: string;
beforeAll(async () => {
  place = installScripts();
  all = (await place.run("help")).stdout;
});
afterAll(() => place.remove());

const help = async (...args: string[]) => (await place.run("help", args)).stdout;
/** Without line breaks, so that a sentence can be found in it. */
const flowing = (text: string) => text.replaceAll(/\s+/g, " ");
const names = Object.keys(scripts);

test("shell 6.1: usage of every script, with its options and the exit status", async () => {
  for (const name of names) expect(all).toMatch(new RegExp(`^  Usage: ${name} `, "m"));
  for (const option of ["--upload", "--dry-run", "--no-owner", "--from-s3", "--yes", "--check", "--env-file"])
    expect(all).toContain(option);
  expect(all).toMatch(/^Exit status:\n  0  done\n  1  /m);
});

test("all of it arrives in a pipe that another program has made non-blocking, and that is read slowly", async () => {
  const path = join(place.dir, "pipe");
  expect(Bun.spawnSync(["mkfifo", path]).success).toBe(true);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  // so that little more fits in
  const before = writeSync(writer, Buffer.alloc(60_000));
  const child = Bun.spawn([join(place.dir, "help")], { stdout: writer, stderr: "ignore" });
  closeSync(writer);
  await Bun.sleep(1_000);
  const parts: Buffer[] = [];
  for (let ended = false; !ended;) {
    const buffer = Buffer.alloc(65_536);
    try {
      const bytes = readSync(reader, buffer);
      parts.push(buffer.subarray(0, bytes));
      ended = bytes === 0;
    } catch (error) {
      expect((error as { code?: string }).code).toBe("EAGAIN");
      await Bun.sleep(10);
    }
  }
  closeSync(reader);
  expect(await child.exited).toBe(0);
  expect(Buffer.concat(parts).subarray(before).toString()).toBe(all);
});

test("shell 6.2: command lines with what they do, for each script", async () => {
  for (const load of Object.values(scripts)) {
    const { examples } = await load();
    expect(examples).not.toBeEmpty();
    for (const [command, meaning] of examples) {
      expect(all).toContain(`    ${command} `);
      expect(flowing(all)).toContain(meaning.split(" ").slice(0, 3).join(" "));
    }
  }
});

test("shell 6.3: every setting with meaning, values and default, secrets marked", () => {
  for (const name of settingNames) {
    const { meaning, values, default: standard } = aboutSetting(name);
    const [, entry = ""] = all.split(new RegExp(`^  ${name}(?: \\(secret\\))?\n`, "m"));
    const own = flowing(entry.split(/\n {2}\S/)[0]!);
    for (const fact of [meaning, values, standard]) expect(own).toContain((fact ?? "").replaceAll("…", "..."));
    expect(all.includes(`\n  ${name} (secret)\n`)).toBe(secretNames.includes(name));
  }
});

test("shell 6.4: the notification modes", () => {
  expect(all).toMatch(/SUCCESS_AND_FAILURE +after every run/);
  expect(all).toMatch(/FAILURE_ONLY +only when a run failed/);
  expect(all).toMatch(/NEVER +none; this is the default/);
});

test("shell 6.5: cron jobs and a systemd timer, with the path of these very scripts", () => {
  expect(all).toContain("MAILTO=");
  expect(all).toMatch(/backup >>\/var\S+ 2>&1\n/);
  expect(all).toContain(`0 3 * * * backup_scripts ${place.dir}/backup >/dev/null\n`);
  expect(all).toContain(`ExecStart=${place.dir}/backup`);
  expect(all).toContain("OnCalendar=");
});

test("what each provider of S3-compatible storage needs", () => {
  for (const { name, lines } of providers) {
    expect(all).toContain(`  ${name}\n`);
    for (const line of lines) expect(all).toContain(line);
  }
});

describe("one thing at a time", () => {
  test("a script", async () => expect(await help("restore")).toStartWith("Usage: restore "));

  test("a setting, in any case, and the file form of a secret", async () => {
    for (const topic of ["S3_SECRET_KEY", "s3_secret_key", "S3_SECRET_KEY_FILE"]) {
      const text = await help(topic);
      expect(text).toStartWith("S3_SECRET_KEY (S3-compatible storage)\n");
      expect(text).toContain("S3_SECRET_KEY_FILE");
      expect(text).not.toContain("S3_BUCKET");
    }
    for (const name of settingNames) expect(await help(name)).toContain(`${name}='${aboutSetting(name).example}'`);
  });

  test("a chapter", async () => {
    for (const [topic, start] of [
      ["cron", "CRON\n"],
      ["mail", "NOTICES\n"],
      ["notices", "NOTICES\n"],
      ["S3", "S3-COMPATIBLE STORAGE\n"],
      ["exit-status", "Exit status:\n  0  done\n"],
    ] as const)
      expect(await help(topic)).toStartWith(start);
  });

  test("something unknown ends in status 2 with the likely name", async () => {
    const { status, stdout, stderr } = await place.run("help", ["S3_BUKCET"]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain("there is no script, chapter or setting called S3_BUKCET");
    expect(stderr).toContain("hint: did you mean S3_BUCKET?");
    expect((await place.run("help", ["restor"])).stderr).toContain("hint: did you mean restore?");
    expect((await place.run("help", ["zzz"])).stderr).toContain("hint: there are: scripts, settings,");
  });
});

describe("how it looks", () => {
  test("in a pipe: plain ASCII in 80 columns, but for what is to be copied", () => {
    expect(all).toMatch(/^[\n\x20-\x7e]+$/);
    const long = all.split("\n").filter((line) => line.length > 80);
    expect(long.filter((line) => !line.includes(place.dir))).toEqual([]);
  });

  test("on a terminal: headings set off and its full width, unless NO_COLOR says otherwise", async () => {
    const shownWith = async (env: Record<string, string>) => {
      const terminal = startOnTerminal([join(place.dir, "help")], env);
      expect(await terminal.exited).toBe(0);
      return terminal.shown().replaceAll("\r\n", "\n");
    };
    const styled = await shownWith({});
    expect(styled).toContain("\x1b[1mSETTINGS\x1b[22m");
    const plain = await shownWith({ NO_COLOR: "1" });
    expect(plain).not.toContain("\x1b");
    expect(Math.max(...plain.split("\n").map((line) => line.length))).toBeGreaterThan(85);
  });

  test("the same with LC_ALL=C, in an empty environment, and whatever the settings are", async () => {
    const environments: Record<string, string>[] = [
      { LC_ALL: "C" },
      { LANG: "de_DE.UTF-8" },
      { EMAIL_NOTIFY_MODE: "WRONG", DB_PASSWORD_FILE: "/no" },
    ];
    for (const env of environments) expect((await place.run("help", [], { env })).stdout).toBe(all);
    writeFileSync(join(place.dir, ".env.sh"), "this is `not` a setting\n", { mode: 0o666 });
    expect(await place.run("help")).toEqual({ status: 0, stdout: all, stderr: "" });
    const bare = await startProgram(["/usr/bin/env", "-i", join(place.dir, "help")]).done;
    expect(bare).toEqual({ status: 0, stdout: all, stderr: "" });
  });

  test("a reader who stops reading is no error", async () => {
    const { status, stdout, stderr } = await startProgram(["/bin/sh", "-c", `${join(place.dir, "help")} | head -1`])
      .done;
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.split("\n")).toHaveLength(2);
  });
});
