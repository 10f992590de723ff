/** What every failure must look like, and what it must leave behind: nothing. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "bun:test";
import type { Installation, Ran } from "../machine/executables.ts";

/** The file's name, size, mode and checksum; the lock files of a run may stay. */
export type Folder = Record<string, string>;

/** Everything in a folder, hidden files too. */
export function folderState(dir: string): Folder {
  if (!existsSync(dir)) return {};
  const names = readdirSync(dir).filter((name) => !/\.lock(\.holder)?$/.test(name));
  return Object.fromEntries(
    names.toSorted().map((name) => {
      const file = join(dir, name);
      const sha256 = new Bun.CryptoHasher("sha256").update(readFileSync(file)).digest("hex");
      const { mode, mtimeMs } = statSync(file);
      return [name, `${mode.toString(8)} ${mtimeMs} ${sha256}`];
    }),
  );
}

/** An earlier backup that no failure may touch. */
export function placeEarlierBackup({ backups }: Installation, database: string): Folder {
  mkdirSync(backups, { recursive: true, mode: 0o700 });
  const name = join(backups, `${database}_2020-02-29_12-34-56.sql.gz`);
  writeFileSync(name, Bun.gzipSync("-- an earlier backup\n"), { mode: 0o600 });
  writeFileSync(`${name}.json`, '{"earlier": true}', { mode: 0o600 });
  return folderState(backups);
}

/** The run failed: with this status, a message that names the cause, a hint, and not a word on stdout. */
export function expectFailure(ran: Ran, cause: RegExp, status = 1): void {
  expect(ran.stderr).toMatch(cause);
  expect(ran.stderr).toMatch(/ ERROR \w+: hint: \S/);
  expect(ran.stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
  expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status, stdout: "" });
}

/** The run succeeded; otherwise its words are shown: those of a dry run stand on stdout. */
export function expectSuccess(ran: Ran): void {
  expect(ran.status, ran.stdout + ran.stderr).toBe(0);
}
