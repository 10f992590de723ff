/** The filters for `aws s3 sync` keep the rules of the sync plan; names are matched here as Python's fnmatch does. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatBackupName, manifestName } from "../../scripts-src/archive/name.ts";
import { settingsFrom } from "../../scripts-src/settings/settings.ts";
import { fromDayOn, syncArguments, syncFilters } from "../../scripts-src/storage/aws-cli.ts";
import { indexLocal, type Named, reasonToKeep } from "../../scripts-src/storage/plan.ts";

interface File {
  name: string;
  named: Named;
}

function backup(
  database: string,
  time: string,
  compression: "gzip" | "zstd" | "none" = "gzip",
  sequence = 1,
  encrypted = false,
): File {
  const when = new Date(time);
  const name = formatBackupName({ database, time: when, compression, sequence, encrypted });
  return { name, named: { backup: name, database, time: when } };
}
const manifest = ({ name, named }: File): File => ({ name: manifestName(name), named });

const matches = (pattern: string, name: string) =>
  new RegExp(
    `^${pattern
      .replace(/[.+^$(){}|\\]/g, "\\$&")
      .replaceAll("?", ".")
      .replaceAll("*", ".*")}$`,
    "s",
  ).test(name);

/** Whether the CLI would look at a name. */
function passes(filters: readonly string[], name: string): boolean {
  let included = true;
  for (let i = 0; i < filters.length; i += 2) {
    if (matches(filters[i + 1]!, name)) included = filters[i] === "--include";
  }
  return included;
}

const odd = 'we-ird_2026-01-01 é[*]?"';
const here = [
  backup("app", "2026-03-09T01:00:00Z"),
  backup("app", "2026-03-09T03:00:00Z", "zstd"),
  backup("app", "2026-03-08T03:00:00Z", "none", 2),
  backup("app", "2026-03-08T04:00:00Z", "zstd", 1, true),
  backup(odd, "2025-12-31T23:59:59Z"),
].flatMap((file) => [file, manifest(file)]);
const alone = backup("app", "2026-03-07T03:00:00Z");

describe("filters", () => {
  test("let every local backup and manifest through", () => {
    for (const mayDelete of [false, true]) {
      const filters = syncFilters([...here, alone], mayDelete);
      for (const { name } of [...here, alone]) expect([name, passes(filters, name)]).toEqual([name, true]);
    }
  });

  test("keep a damaged backup and its manifest back, and with it every deletion", () => {
    const [bad, itsManifest, ...rest] = here;
    const damaged = new Set([bad!.name]);
    const filters = syncFilters(here, false, damaged);
    for (const { name } of [bad!, itsManifest!]) expect([name, passes(filters, name)]).toEqual([name, false]);
    for (const { name } of rest) expect([name, passes(filters, name)]).toEqual([name, true]);
    const settings = settingsFrom({ S3_BUCKET: "b", REMOTE_S3_DELETE: "true" });
    expect(syncArguments("/var/backups", here, settings, { dryRun: false, damaged })).not.toContain("--delete");
  });

  test.each([
    ".app_2026-03-09_01-00-00.sql.gz.partial",
    ".app_2026-03-09_01-00-00.sql.gz.json.partial",
    ".app.lock",
    ".app.lock.holder",
    "notes.txt",
    "app_2026-03-09_01-00-00.sql.gz.bak",
    "app_2026-03-09_01-00-00.sql.gz/inner",
    "sub/app_2026-03-01_01-00-00.sql.gz",
    "app-staging_2026-03-01_01-00-00.sql.gz",
    "app_x_2026-03-01_01-00-00.sql.gz",
    "myapp_2026-03-01_01-00-00.sql.gz",
    "other_2026-03-01_01-00-00.sql.gz",
    "app_latest.sql.gz",
  ])("neither upload nor delete %s", (name) => {
    expect(passes(syncFilters([...here, alone], false), name)).toBe(false);
    expect(passes(syncFilters([...here, alone], true), name)).toBe(false);
  });

  test("with --delete, what goes is what the plan's rule lets go, save for the newest day", () => {
    const day = fc.date({ min: new Date("2000-01-01"), max: new Date("2099-12-31"), noInvalidDate: true });
    const near = fc
      .integer({ min: -40, max: 40 })
      .map((days) => new Date(Date.parse("2026-03-09T02:00:00Z") + days * 86_400_000));
    const database = fc.constantFrom("app", "app-staging", odd, "other");
    const local = [...here, alone];
    const filters = syncFilters(local, true);
    fc.assert(
      fc.property(
        database,
        fc.oneof(day, near),
        fc.boolean(),
        fc.integer({ min: 1, max: 99 }),
        fc.boolean(),
        (name, time, json, sequence, encrypted) => {
          const whole = backup(name, time.toISOString(), "gzip", sequence, encrypted);
          const file = json ? manifest(whole) : whole;
          const goes = passes(filters, file.name) && !local.some((one) => one.name === file.name);
          const allowed = reasonToKeep(file.named, indexLocal(local), true) === undefined;
          if (goes) expect([file.name, allowed]).toEqual([file.name, true]);
          const newest = name === odd ? "2025-12-31" : "2026-03-09";
          if (allowed && file.named.time.toISOString().slice(0, 10) < newest)
            expect([file.name, goes]).toEqual([file.name, true]);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("a backup that is local keeps its manifest in S3", () => {
    expect(passes(syncFilters([...here, alone], true), manifest(alone).name)).toBe(false);
  });

  test("a day's patterns match that day and all later ones, no earlier one", () => {
    const day = fc
      .date({ min: new Date("0000-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
      .map((date) => date.toISOString().slice(0, 10));
    fc.assert(
      fc.property(day, day, (from, other) => {
        expect(fromDayOn(from).some((pattern) => matches(pattern, other))).toBe(other >= from);
      }),
    );
  });
});

describe("arguments", () => {
  const settings = (more: Record<string, string> = {}) =>
    settingsFrom({ S3_BUCKET: "b", S3_PATH: "p/q", S3_ACCESS_KEY: "AK", S3_SECRET_KEY: "very secret", ...more });
  const args = (more: Record<string, string> = {}, files: File[] = here) =>
    syncArguments("/var/backups", files, settings(more), { dryRun: false, damaged: new Set() });

  test("shell 3.3, 3.4: --delete exactly with REMOTE_S3_DELETE=true and a local backup", () => {
    expect(args()).not.toContain("--delete");
    expect(args({ REMOTE_S3_DELETE: "false" })).not.toContain("--delete");
    expect(args({ REMOTE_S3_DELETE: "true" })).toContain("--delete");
    expect(args({ REMOTE_S3_DELETE: "true" }, [])).not.toContain("--delete");
  });

  test("name folder, bucket and path, endpoint and storage class, but no secret", () => {
    const all = args({ S3_URL: "https://s3.example.com", S3_STORAGE_CLASS: "STANDARD_IA" });
    expect(all.slice(0, 4)).toEqual(["s3", "sync", "/var/backups", "s3://b/p/q"]);
    expect(all.join(" ")).toContain("--endpoint-url https://s3.example.com --storage-class STANDARD_IA");
    expect(all.join(" ")).not.toContain("very secret");
    expect(args().join(" ")).not.toContain("--endpoint-url");
  });

  test.each(["/var/[x]/backups", "/var/b*", "/var/b?"])(
    "a folder that the CLI would take for a pattern is refused: %s",
    (folder) => {
      expect(() => syncArguments(folder, here, settings(), { dryRun: false, damaged: new Set() })).toThrow(
        "the AWS CLI cannot sync",
      );
    },
  );
});
