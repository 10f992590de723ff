/** Backup files that are none, for tests that only carry them about. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatManifest } from "../../../scripts-src/archive/manifest.ts";
import { noise, sha256 } from "../servers/storage.ts";

/** What the manifests of those files say, but for what differs. */
export const manifestFacts = {
  engine: "postgresql" as const,
  serverVersion: "PostgreSQL 15.18",
  clientVersion: "pg_dump 15.18",
  startedAt: "2026-01-01T03:00:00.000Z",
  endedAt: "2026-01-01T03:00:01.000Z",
  uncompressedBytes: 1000,
  compression: "gzip" as const,
  programVersion: "0.1.0",
  host: "db1",
  site: "test",
  dumpOptions: [],
  encoding: "UTF8",
  restoreCommand: "gunzip -c FILE | psql",
};

/** Writes `<database>_<day>_03-00-00.sql.gz` and its manifest into a folder; returns their names. */
export function writeBackup(
  folder: string,
  database: string,
  day: string,
  bytes = 100,
): [name: string, manifest: string] {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const name = `${database}_${day}_03-00-00.sql.gz`;
  const data = noise(bytes);
  writeFileSync(join(folder, name), data);
  writeFileSync(
    join(folder, `${name}.json`),
    formatManifest({ ...manifestFacts, database, bytes, sha256: sha256(data) }),
  );
  return [name, `${name}.json`];
}

/** Removes a backup and its manifest. */
export function removeBackup(folder: string, [name, manifest]: readonly [string, string]): void {
  for (const file of [name, manifest]) rmSync(join(folder, file));
}
