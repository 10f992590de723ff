import { describe, expect, test } from "bun:test";
import { nextTicks, readTicks } from "../../scripts-src/scheduling/ticks.ts";

const ticksOf = (BACKUP_INTERVAL: string, BACKUP_TIMEZONE = "UTC") => readTicks({ BACKUP_INTERVAL, BACKUP_TIMEZONE });
const after = (interval: string, from: string, count = 3, zone = "UTC") =>
  nextTicks(ticksOf(interval, zone), new Date(from), count).map((time) => time.toISOString().replace(".000Z", ""));

describe("BACKUP_INTERVAL", () => {
  const accepted: [interval: string, ticks: string[], meaning: string][] = [
    ["0 3 * * *", ["2026-03-05T03:00:00", "2026-03-06T03:00:00", "2026-03-07T03:00:00"], "five fields"],
    ["*/20 * * * * *", ["2026-03-04T12:00:20", "2026-03-04T12:00:40", "2026-03-04T12:01:00"], "six, seconds first"],
    ["@hourly", ["2026-03-04T13:00:00", "2026-03-04T14:00:00", "2026-03-04T15:00:00"], "a nickname"],
    ["@daily", ["2026-03-05T00:00:00", "2026-03-06T00:00:00", "2026-03-07T00:00:00"], "a nickname"],
    ["@weekly", ["2026-03-08T00:00:00", "2026-03-15T00:00:00", "2026-03-22T00:00:00"], "a nickname"],
    ["@monthly", ["2026-04-01T00:00:00", "2026-05-01T00:00:00", "2026-06-01T00:00:00"], "a nickname"],
    ["@yearly", ["2027-01-01T00:00:00", "2028-01-01T00:00:00", "2029-01-01T00:00:00"], "a nickname"],
    ["30 4 * * MON-FRI", ["2026-03-05T04:30:00", "2026-03-06T04:30:00", "2026-03-09T04:30:00"], "names of days"],
    ["0 0 1 JAN,jul *", ["2026-07-01T00:00:00", "2027-01-01T00:00:00", "2027-07-01T00:00:00"], "names of months"],
    ["0 0 29 2 *", ["2028-02-29T00:00:00", "2032-02-29T00:00:00", "2036-02-29T00:00:00"], "leap days"],
    ["0-59/15 * * * *", ["2026-03-04T12:15:00", "2026-03-04T12:30:00", "2026-03-04T12:45:00"], "a range first"],
    ["10-11 3 * * *", ["2026-03-05T03:10:00", "2026-03-05T03:11:00", "2026-03-06T03:10:00"], "a range first"],
    ["  0   3 * * *  ", ["2026-03-05T03:00:00", "2026-03-06T03:00:00", "2026-03-07T03:00:00"], "spaces"],
  ];
  test.each(accepted)("%s ticks at %j (%s)", (interval, ticks) => {
    expect(after(interval, "2026-03-04T12:00:00Z")).toEqual(ticks);
  });

  const refused: [interval: string, cause: RegExp][] = [
    ["", /not a cron expression: it needs five or six fields, not 1$/],
    ["daily", /not a cron expression: it needs five or six fields, not 1$/],
    ["0 3 * *", /not a cron expression: it needs five or six fields, not 4$/],
    ["61 * * * *", /not a cron expression: Invalid value for minute: 61/],
    ["0 25 * * *", /not a cron expression: Invalid value for hour/],
    ["0 3 * * FUNDAY", /illegal characters$/],
    ["5-1 * * * *", /not a cron expression: From value is larger than to value: '5-1'$/],
    ["* * * * * * 2030", /not a cron expression: it needs five or six fields, not 7$/],
    ["@reboot", /not a cron expression/],
    ["@every 5m", /not a cron expression/],
    ["2030-01-01", /not a cron expression: a date is no schedule/],
    ["2030-01-01T00:00:00", /not a cron expression: a date is no schedule/],
    ["0 0 30 2 *", /0 0 30 2 \* never ticks/],
    ["0 0 31 4,6 *", /never ticks/],
  ];
  test.each(refused)("%j is refused: %s", (interval, cause) => {
    expect(() => ticksOf(interval)).toThrow(cause);
    expect(() => ticksOf(interval)).toThrow(expect.objectContaining({ status: 2 }));
  });

  test("VERIFY_INTERVAL is read in the same way", () => {
    const settings = { BACKUP_INTERVAL: "@daily", VERIFY_INTERVAL: "30 4 * * 0", BACKUP_TIMEZONE: "Asia/Kolkata" };
    const ticks = readTicks(settings, "VERIFY_INTERVAL");
    expect(ticks.next(new Date("2026-01-10T00:00:00Z")).toISOString()).toBe("2026-01-10T23:00:00.000Z");
    expect(() => readTicks({ ...settings, VERIFY_INTERVAL: "weekly" }, "VERIFY_INTERVAL")).toThrow(
      "VERIFY_INTERVAL weekly is not a cron expression",
    );
  });

  test("is read in BACKUP_TIMEZONE", () => {
    expect(after("0 3 * * *", "2026-01-10T00:00:00Z", 1, "Asia/Kolkata")).toEqual(["2026-01-10T21:30:00"]);
  });
});

describe("when the clocks change", () => {
  const zones = ["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut"];
  const days = (zone: string) => new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short" });
  const daily = ["30 2 * * *", "0 0 * * *", "0 2 * * *", "0 0 3 * * *"];
  for (const zone of zones) {
    test.each(daily)(`%s ticks once on each day of a year in ${zone}`, (interval) => {
      const ticks = nextTicks(ticksOf(interval, zone), new Date("2025-12-31T12:00:00Z"), 365);
      const seen = ticks.map((time) => days(zone).format(time));
      expect(new Set(seen).size).toBe(365);
      const gaps = ticks.slice(1).map((time, i) => (Number(time) - Number(ticks[i])) / 3_600_000);
      expect(Math.max(...gaps)).toBeLessThanOrEqual(25);
    });
  }

  test("a time that is skipped in spring ticks at the first moment after the gap", () => {
    expect(after("30 2 * * *", "2026-03-28T12:00:00Z", 2, "Europe/Berlin")).toEqual([
      "2026-03-29T01:00:00",
      "2026-03-30T00:30:00",
    ]);
  });

  test("a time that comes twice in autumn ticks at the first of the two", () => {
    expect(after("30 2 * * *", "2026-10-24T12:00:00Z", 2, "Europe/Berlin")).toEqual([
      "2026-10-25T00:30:00",
      "2026-10-26T01:30:00",
    ]);
  });

  test("several fixed hours tick once a day each", () => {
    expect(after("30 2,14 * * *", "2026-10-24T13:00:00Z", 3, "Europe/Berlin")).toEqual([
      "2026-10-25T00:30:00",
      "2026-10-25T13:30:00",
      "2026-10-26T01:30:00",
    ]);
  });

  test("an hourly job ticks every real hour", () => {
    for (const day of ["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z"]) {
      const ticks = nextTicks(ticksOf("0 * * * *", "Europe/Berlin"), new Date(day), 12);
      expect(ticks.map((time) => Number(time) - Date.parse(day))).toEqual(ticks.map((_, i) => (i + 1) * 3_600_000));
    }
  });
});

test("times are shown in UTC and in the schedule's zone", () => {
  const { text } = readTicks({ BACKUP_INTERVAL: "@daily", BACKUP_TIMEZONE: "Europe/Berlin" });
  expect(text(new Date("2026-07-01T01:00:00Z"))).toBe("2026-07-01 01:00:00 UTC (2026-07-01 03:00:00 Europe/Berlin)");
});
