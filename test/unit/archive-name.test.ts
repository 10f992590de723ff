import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { byAge, formatBackupName, parseBackupName, type BackupName } from "../../scripts-src/archive/name.ts";

const time = new Date("2026-11-22T10:43:58Z");
const whole: BackupName = { database: "app", time, sequence: 1, compression: "gzip", encrypted: false };

const anyBackup = fc.record<BackupName>({
  database: fc.oneof(
    fc.string({ unit: "binary", minLength: 1 }),
    fc.string({
      unit: fc.constantFrom("_", "-", ".", "0", "1", "9", "%", "/", "\\", " ", "sql", "gz", "age"),
      minLength: 1,
    }),
  ),
  time: fc
    .integer({ min: 0, max: Date.parse("9999-12-31T23:59:59Z") / 1000 })
    .map((seconds) => new Date(seconds * 1000)),
  sequence: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 99_999 })),
  compression: fc.constantFrom("gzip", "zstd", "none"),
  encrypted: fc.boolean(),
});

describe("names of backup files", () => {
  test.each<[Partial<BackupName>, string]>([
    [{}, "app_2026-11-22_10-43-58.sql.gz"],
    [{ sequence: 2 }, "app_2026-11-22_10-43-58-2.sql.gz"],
    [{ compression: "zstd" }, "app_2026-11-22_10-43-58.sql.zst"],
    [{ compression: "none" }, "app_2026-11-22_10-43-58.sql"],
    [{ encrypted: true }, "app_2026-11-22_10-43-58.sql.gz.age"],
    [{ compression: "none", encrypted: true }, "app_2026-11-22_10-43-58.sql.age"],
    [{ time: new Date("2026-11-22T10:43:58.999Z") }, "app_2026-11-22_10-43-58.sql.gz"],
    [{ database: "app-staging" }, "app-staging_2026-11-22_10-43-58.sql.gz"],
    [{ database: "My Shop/ü%" }, "My%20Shop%2F%C3%BC%25_2026-11-22_10-43-58.sql.gz"],
    [{ database: ".hidden" }, "%2Ehidden_2026-11-22_10-43-58.sql.gz"],
    [{ database: "-rf" }, "%2Drf_2026-11-22_10-43-58.sql.gz"],
    [{ database: "../../etc/passwd" }, "%2E.%2F..%2Fetc%2Fpasswd_2026-11-22_10-43-58.sql.gz"],
    [{ database: "a_2025-01-01_00-00-00.sql.gz" }, "a_2025-01-01_00-00-00.sql.gz_2026-11-22_10-43-58.sql.gz"],
  ])("%j is written as %s (container 4.1)", (changes, name) => {
    expect(formatBackupName({ ...whole, ...changes })).toBe(name);
  });

  test.each([
    "app.sql.gz",
    "app_2026-11-22.sql.gz",
    "app_2026-11-22_10-43-58.sql.gz.json",
    ".app_2026-11-22_10-43-58.sql.gz.partial",
    ".app_2026-11-22_10-43-58.sql.gz",
    "-app_2026-11-22_10-43-58.sql.gz",
    "_2026-11-22_10-43-58.sql.gz",
    "app_2026-02-30_10-43-58.sql.gz",
    "app_2026-13-01_10-43-58.sql.gz",
    "app_2026-11-22_24-00-00.sql.gz",
    "app_2026-11-22_10-60-58.sql.gz",
    "app_2026-11-22_10-43-58-1.sql.gz",
    "app_2026-11-22_10-43-58-02.sql.gz",
    "app_2026-11-22-10-43-58.sql.gz",
    "app_2026-11-22_10-43-58.dump",
    "app_2026-11-22_10-43-58.SQL.GZ",
    "app_2026-11-22_10-43-58.age",
    "app_2026-11-22_10-43-58.sql.age.gz",
    "app_2026-11-22_10-43-58.sql.gz.age.age",
    "a%70p_2026-11-22_10-43-58.sql.gz",
    "a%c3%bc_2026-11-22_10-43-58.sql.gz",
    "a%FF_2026-11-22_10-43-58.sql.gz",
    "a%_2026-11-22_10-43-58.sql.gz",
    "ü_2026-11-22_10-43-58.sql.gz",
    "dir/app_2026-11-22_10-43-58.sql.gz",
    "app_2026-11-22_10-43-58.sql.gz\n",
    "",
  ])("%j is not the name of a backup (container 5.7)", (name) => {
    expect(parseBackupName(name)).toBeUndefined();
  });

  test("reading is the inverse of writing, for every database name", () => {
    fc.assert(
      fc.property(anyBackup, (backup) => {
        const name = formatBackupName(backup);
        expect(name).toMatch(/^[A-Za-z0-9_%][A-Za-z0-9._%-]*$/);
        expect(parseBackupName(name)).toEqual(backup);
      }),
      { numRuns: 2000 },
    );
  });

  test("no text is read as a backup unless it is written exactly so", () => {
    const mutated = fc
      .tuple(anyBackup, fc.nat(), fc.string({ maxLength: 3 }), fc.nat(3))
      .map(([backup, at, insert, cut]) => {
        const name = formatBackupName(backup);
        const start = at % (name.length + 1);
        return name.slice(0, start) + insert + name.slice(start + cut);
      });
    fc.assert(
      fc.property(mutated, (name) => {
        const backup = parseBackupName(name);
        if (backup) expect(formatBackupName(backup)).toBe(name);
      }),
      { numRuns: 2000 },
    );
  });

  test("app never matches the files of app-staging, nor any other two databases each other's", () => {
    expect(parseBackupName("app-staging_2026-11-22_10-43-58.sql.gz")?.database).toBe("app-staging");
    expect(parseBackupName("app_old_2026-11-22_10-43-58.sql.gz")?.database).toBe("app_old");
    fc.assert(
      fc.property(anyBackup, anyBackup, (a, b) => {
        fc.pre(a.database !== b.database);
        expect(formatBackupName(a)).not.toBe(formatBackupName(b));
      }),
    );
  });

  test("names of one database sort by age (container 4.3)", () => {
    fc.assert(
      fc.property(fc.array(anyBackup), (backups) => {
        const firsts = backups.map((backup) => ({ ...backup, database: "app", sequence: 1 }));
        const byName = firsts.map(formatBackupName).toSorted();
        const byTime = firsts.toSorted(byAge).map((backup) => backup.time.getTime());
        expect(byName.map((name) => parseBackupName(name)?.time.getTime() ?? 0)).toEqual(byTime);
      }),
    );
  });

  test.each(["", "\ud800"])("a database called %j has no file name", (database) => {
    expect(() => formatBackupName({ ...whole, database })).toThrow("not valid text");
  });
});
