import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { composeMessage, shortText, sizeOf, subjectOf } from "../../scripts-src/notify/message.ts";
import { timeText } from "../../scripts-src/base/text.ts";
import type { DatabaseOutcome, Outcome } from "../../scripts-src/notify/outcome.ts";

const good: Outcome = {
  script: "backup",
  status: "success",
  exitStatus: 0,
  site: "shop",
  host: "db1",
  version: "1.2.3",
  startedAt: new Date("2026-02-03T23:30:00Z"),
  endedAt: new Date("2026-02-03T23:34:05Z"),
  facts: {
    database: "app",
    server: "postgresql://db.example.com:5432/app",
    file: "app_2026-02-03_23-30-00.sql.gz",
    bytes: 2_000_000,
    previousBytes: 1_600_000,
    localPath: "/backups/app_2026-02-03_23-30-00.sql.gz",
    remoteLocation: "s3://bucket/app_2026-02-03_23-30-00.sql.gz",
  },
  summary: "backed up app",
  warnings: [],
  logTail: ["a line of the log"],
};
const bad: Outcome = {
  ...good,
  status: "failure",
  exitStatus: 1,
  facts: { database: "app" },
  summary: "the disk is full",
  error: { message: "the disk is full", hints: ["free some space", "or set LOCAL_RETENTION_DAYS"] },
};
const warned: Outcome = { ...good, status: "warning", warnings: ["app is 99.8 % smaller than the last backup"] };
const databases: DatabaseOutcome[] = [
  { database: "shop", status: "success", bytes: 2048, previousBytes: 1024, rows: 1_234_567, durationMs: 61_000 },
  { database: "crm", status: "failure", message: "connection refused" },
  { database: "wiki", status: "warning", bytes: 10, message: "half the size\nof the last one" },
];
const several: Outcome = { ...bad, facts: { databases }, error: { message: "1 of 3 databases failed", hints: [] } };

describe("the subject", () => {
  test.each([
    [good, "OK: shop backup of app"],
    [bad, "FAILED: shop backup of app"],
    [{ ...bad, script: "sync", facts: {} }, "FAILED: shop sync"],
    [warned, "WARNING: shop backup of app: app is 99.8 % smaller than the last backup"],
    [{ ...warned, warnings: ["a", "b"] }, "WARNING: shop backup of app: 2 warnings"],
    [several, "FAILED: shop backup, 1 of 3 databases"],
    [{ ...good, facts: { databases: databases.slice(0, 1) } }, "OK: shop backup of 1 database"],
    [{ ...good, test: true as const, facts: {} }, "TEST: notice from shop"],
    [{ ...good, site: "a\r\nBcc: x@example.com\u2028\u0085b" }, "OK: a Bcc: x@example.com \\x85b backup of app"],
  ])("%#", (outcome, subject) => {
    expect(subjectOf(outcome)).toBe(subject);
  });
});

describe("the text", () => {
  test("of a success tells everything that is known, and no log", () => {
    expect(composeMessage(good, "Europe/Berlin").text).toBe(`OK: shop backup of app

backed up app

Status    success
Site      shop
Host      db1
Script    backup
Started   2026-02-03 23:30:00 UTC (2026-02-04 00:30:00 Europe/Berlin)
Ended     2026-02-03 23:34:05 UTC (2026-02-04 00:34:05 Europe/Berlin)
Duration  4m 5s
Database  app
Server    postgresql://db.example.com:5432/app
File      app_2026-02-03_23-30-00.sql.gz
Size      1.91 MiB (+25.0 %, previous backup 1.53 MiB)
Local     /backups/app_2026-02-03_23-30-00.sql.gz
S3        s3://bucket/app_2026-02-03_23-30-00.sql.gz

sent by backup_scripts 1.2.3
`);
  });

  test("of a failure tells the error, what to do and the last lines of the log", () => {
    expect(composeMessage(bad, "UTC").text).toBe(`FAILED: shop backup of app

the disk is full

What to do: free some space
What to do: or set LOCAL_RETENTION_DAYS

Status    failure (exit status 1)
Site      shop
Host      db1
Script    backup
Started   2026-02-03 23:30:00 UTC
Ended     2026-02-03 23:34:05 UTC
Duration  4m 5s
Database  app

Last lines of the log:
a line of the log

sent by backup_scripts 1.2.3
`);
  });
});

describe("N13: a failure says when and where the last good backup is", () => {
  const startedAt = new Date("2026-02-03T05:34:05Z");
  test.each([
    [
      { startedAt, locations: ["/backups/a", "s3://b/a"], elsewhere: [] },
      "2026-02-03 05:34:05 UTC, 18 h ago: /backups/a and s3://b/a",
    ],
    [
      { startedAt, locations: ["s3://b/a"], elsewhere: ["/backups: none"] },
      "2026-02-03 05:34:05 UTC, 18 h ago: s3://b/a; /backups: none",
    ],
    [{ locations: [], elsewhere: ["/backups: none"] }, "none found; /backups: none"],
  ])("%#", (lastGood, words) => {
    const outcome = { ...bad, facts: { lastGood } };
    expect(composeMessage(outcome, "UTC").text).toMatch(new RegExp(`^Last good backup +${RegExp.escape(words)}$`, "m"));
    expect(shortText(outcome).body).toContain(`Last good backup: ${words}`);
  });
});

test("a run over several databases has a row for each, failures first", () => {
  const { text, html } = composeMessage(several, "UTC");
  expect(text).toContain(
    `
Database  Status   Size                                   Rows       Duration
crm       failure
    connection refused
wiki      warning  10 B
    half the size of the last one
shop      success  2 KiB (+100.0 %, previous backup 1 KiB)  1,234,567  1m 1s
`.replace("Size                                   Rows", "Size                                     Rows"),
  );
  for (const words of ["connection refused", "1,234,567", "half the size of the last one"])
    expect(html).toContain(words);
});

test("a short text has the failure first, and fits every service", () => {
  expect(shortText(several).body.split("\n")).toEqual([
    "1 of 3 databases failed",
    "crm: connection refused",
    "wiki: half the size of the last one",
  ]);
  const many = Array.from({ length: 200 }, (_, n): DatabaseOutcome => ({
    database: `db${n}`,
    status: "failure",
    message: "💾".repeat(100),
  }));
  const { title, body } = shortText({ ...several, facts: { databases: many }, site: "💾".repeat(900) });
  expect(Array.from(title + body).length).toBeLessThanOrEqual(1_200);
  expect(Buffer.byteLength(body)).toBeLessThanOrEqual(4_096);
  expect(body.isWellFormed()).toBe(true);
});

const tags = (outcome: Outcome) => composeMessage(outcome, "UTC").html.match(/<[^>]*>/g);
const withText = (text: string): Outcome => ({
  ...bad,
  site: text,
  host: text,
  script: text,
  version: text,
  facts: { database: text, server: text, file: text, localPath: text, remoteLocation: text },
  warnings: [text],
  error: { message: text, hints: [text] },
  logTail: [text],
});

test("a proof of several databases tells the time to recover of each", () => {
  const proved: DatabaseOutcome[] = [
    { database: "shop", status: "success", rows: 7, durationMs: 90_000, restoreMs: 61_000 },
    { database: "crm", status: "warning", restoreMs: 400, message: "half the size" },
  ];
  const { text, html } = composeMessage({ ...good, script: "verify", facts: { databases: proved } }, "UTC");
  expect(text).toMatch(/^shop .* 1m 30s\n {4}time to recover: 1m 1s$/m);
  expect(text).toMatch(/^crm .*\n {4}half the size; time to recover: 0.4s$/m);
  expect(html).toContain("time to recover: 1m 1s");
});

describe("the HTML", () => {
  test("holds every fact of the text", () => {
    for (const outcome of [good, bad, warned]) {
      const { text, html } = composeMessage(outcome, "Europe/Berlin");
      const shown = html.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
      for (const line of text.split("\n")) expect(shown).toContain(line.replace(/\s+/g, " ").replace(/:$/, ""));
    }
  });

  test("has the same tags whatever the texts are: nothing can be injected", () => {
    const nasty = fc.constantFrom("<b>", "</p>", "<!--", "&lt;", '"', "'", "<script>alert(1)</script>", "${x}");
    const text = fc
      .array(fc.oneof(nasty, fc.string({ minLength: 1 })), { minLength: 1 })
      .map((parts) => parts.join(""));
    fc.assert(fc.property(text, (value) => expect(tags(withText(value))).toEqual(tags(withText("x")))));
  });
});

test.each([
  ["2026-07-01T10:00:00Z", "America/New_York", "2026-07-01 10:00:00 UTC (2026-07-01 06:00:00 America/New_York)"],
  ["2026-12-31T23:59:59.999Z", "Asia/Kolkata", "2026-12-31 23:59:59 UTC (2027-01-01 05:29:59 Asia/Kolkata)"],
  ["2026-10-25T01:30:00Z", "Europe/Berlin", "2026-10-25 01:30:00 UTC (2026-10-25 02:30:00 Europe/Berlin)"],
  ["2026-07-01T00:00:00Z", "Etc/UTC", "2026-07-01 00:00:00 UTC"],
])("the time %s is told in UTC and in %s", (time, zone, told) => {
  expect(timeText(new Date(time), zone)).toBe(told);
});

test.each([
  [undefined, 5, undefined],
  [1234, undefined, "1.21 KiB"],
  [1234, 0, "1.21 KiB"],
  [1024, 1024, "1 KiB (unchanged, previous backup 1 KiB)"],
  [1126.4, 1024, "1.1 KiB (+10.0 %, previous backup 1 KiB)"],
  [512, 1024, "512 B (-50.0 %, previous backup 1 KiB)"],
])("the size %p after %p", (bytes, previous, told) => {
  expect(sizeOf(bytes, previous)).toBe(told);
});
