import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { composeMessage, sizeOf, subjectOf, timeOf } from "../../scripts-src/notify/message.ts";
import type { Outcome } from "../../scripts-src/notify/outcome.ts";

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

describe("the subject", () => {
  test.each([
    [good, "OK: shop backup of app"],
    [bad, "FAILED: shop backup of app"],
    [{ ...bad, script: "sync", facts: {} }, "FAILED: shop sync"],
    [{ ...good, test: true as const, facts: {} }, "TEST: notice from shop"],
    [{ ...good, site: "a\r\nBcc: x@example.com\u2028\u0085b" }, "OK: a Bcc: x@example.com b backup of app"],
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
Size      1.91 MiB (+25.0 % against the last one, 1.53 MiB)
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

const tags = (outcome: Outcome) => composeMessage(outcome, "UTC").html.match(/<[^>]*>/g);
const withText = (text: string): Outcome => ({
  ...bad,
  site: text,
  host: text,
  script: text,
  version: text,
  facts: { database: text, server: text, file: text, localPath: text, remoteLocation: text },
  error: { message: text, hints: [text] },
  logTail: [text],
});

describe("the HTML", () => {
  test("holds every fact of the text", () => {
    for (const outcome of [good, bad]) {
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
  expect(timeOf(new Date(time), zone)).toBe(told);
});

test.each([
  [undefined, 5, undefined],
  [1234, undefined, "1.21 KiB"],
  [1234, 0, "1.21 KiB"],
  [1024, 1024, "1 KiB (same as the last one, 1 KiB)"],
  [1126.4, 1024, "1.1 KiB (+10.0 % against the last one, 1 KiB)"],
  [512, 1024, "512 B (-50.0 % against the last one, 1 KiB)"],
  [511, 1024, "511 B (-50.1 % against the last one, 1 KiB, LESS THAN HALF: please check)"],
])("the size %p after %p", (bytes, previous, told) => {
  expect(sizeOf(bytes, previous)).toBe(told);
});
