/** The words for `aws s3 sync`: its filters let through what is planned; names are matched here as Python's fnmatch does. */
import { describe, expect, test } from "bun:test";
import { formatBackupName, manifestName } from "../../scripts-src/archive/name.ts";
import { settingsFrom } from "../../scripts-src/settings/settings.ts";
import { syncCalls } from "../../scripts-src/storage/aws-cli.ts";

const matches = (pattern: string, name: string) =>
  new RegExp(
    `^${pattern
      .replace(/[.+^$(){}|\\]/g, "\\$&")
      .replaceAll("?", ".")
      .replaceAll("*", ".*")}$`,
    "s",
  ).test(name);

/** Whether the CLI would look at a name. */
function passes(args: readonly string[], name: string): boolean {
  let included = true;
  for (const [at, word] of args.entries())
    if (/^--(in|ex)clude$/.test(word) && matches(args[at + 1]!, name)) included = word === "--include";
  return included;
}

const backup = (database: string, time: string) =>
  formatBackupName({ database, time: new Date(time), compression: "gzip", sequence: 1, encrypted: false });
const here = [
  backup("app", "2026-03-09T01:00:00Z"),
  backup("app", "2026-03-08T03:00:00Z"),
  backup('we-ird_2026-01-01 é[*]?"', "2025-12-31T23:59:59Z"),
].flatMap((name) => [name, manifestName(name)]);
const gone = backup("app", "2026-03-01T01:00:00Z");

describe("filters", () => {
  const settings = settingsFrom({ S3_BUCKET: "b" });

  test("let through what is planned, and nothing else", () => {
    const [args = [], ...others] = syncCalls("/var/backups", here, settings);
    expect(others).toEqual([]);
    for (const name of here) expect([name, passes(args, name)]).toEqual([name, true]);
  });

  test.each([
    ".app_2026-03-09_01-00-00.sql.gz.partial",
    ".app.lock",
    "notes.txt",
    "app_2026-03-09_01-00-00.sql.gz.bak",
    "app_2026-03-09_01-00-00.sql.gz/inner",
    "sub/app_2026-03-09_01-00-00.sql.gz",
    "app_2026-03-10_01-00-00.sql.gz",
    manifestName(gone),
    "other_2026-03-01_01-00-00.sql.gz",
  ])("neither upload nor delete %s", (name) => {
    const [args = []] = syncCalls("/var/backups", [...here, gone], settings, true);
    expect(passes(args, name)).toBe(false);
  });

  test("a long plan is split into several calls, each name in one of them", () => {
    const sent = Array.from({ length: 2_500 }, (_, at) => backup("app", new Date(at * 86_400_000).toISOString()));
    const calls = syncCalls("/var/backups", sent, settings, true);
    expect(calls.length).toBe(3);
    for (const name of sent) expect(calls.filter((args) => args.includes(name)).length).toBe(1);
    for (const args of calls) expect(args.filter((word) => word === "--delete").length).toBe(1);
  });
});

describe("arguments", () => {
  const settings = (more: Record<string, string> = {}) =>
    settingsFrom({ S3_BUCKET: "b", S3_PATH: "p/q", S3_ACCESS_KEY: "AK", S3_SECRET_KEY: "very secret", ...more });
  const args = (more: Record<string, string> = {}, deletes = false) =>
    syncCalls("/var/backups", here, settings(more), deletes)[0] ?? [];

  test("shell 3.3, 3.4: --delete exactly when something is to be deleted", () => {
    expect(args()).not.toContain("--delete");
    expect(args({}, true)).toContain("--delete");
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
      expect(() => syncCalls(folder, here, settings())).toThrow("the AWS CLI cannot sync");
    },
  );
});
