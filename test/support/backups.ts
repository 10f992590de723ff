/** Backup files that are none, for tests that only carry them about. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noise } from "./storage.ts";

/** Writes `<database>_<day>_03-00-00.sql.gz` and its manifest into a folder; returns their names. */
export function writeBackup(
  folder: string,
  database: string,
  day: string,
  bytes = 100,
): [name: string, manifest: string] {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = `${database}_${day}_03-00-00.sql.gz`;
  writeFileSync(join(folder, name), noise(bytes));
  writeFileSync(join(folder, `${name}.json`), JSON.stringify({ name, day }));
  return [name, `${name}.json`];
}

/** Removes a backup and its manifest. */
export function removeBackup(folder: string, [name, manifest]: readonly [string, string]): void {
  for (const file of [name, manifest]) rmSync(join(folder, file));
}
