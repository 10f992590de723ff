/** Container requirement 2: the scheduler's and the storage's settings. */
import { expect, test } from "bun:test";
import { installScripts } from "../support/machine/executables.ts";
import * as scheduled from "../support/machine/scheduled.ts";

const world = scheduled.useWorld();

const upload = (settings: Record<string, string>) => installScripts().run("backup", ["--upload"], { env: settings });

test("container 2.2, 2.3, 2.4: S3_URL is the endpoint, S3_BUCKET the bucket, S3_PATH the prefix", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  expect((await upload({ ...settings, S3_PATH: "/some/where/" })).status).toBe(0);
  expect(scheduled.committedIn(world.s3, bucket)).toEqual([
    expect.stringMatching(/^some\/where\/shop_[^/]*\.sql\.gz$/),
  ]);
  const asked = world.s3.asked.filter((request) => request.bucket === bucket);
  expect(asked.map(({ headers }) => headers.host)).toContain(new URL(settings.S3_URL).host);
});

test("container 2.4: without S3_PATH, backups lie at the top of the bucket", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  expect((await upload({ ...settings, S3_PATH: "" })).status).toBe(0);
  expect(scheduled.committedIn(world.s3, bucket)).toEqual([expect.stringMatching(/^shop_[^/]*\.sql\.gz$/)]);
});

test("container 2.5: S3_ACCESS_KEY and S3_SECRET_KEY log in; wrong ones are named, not shown", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const ran = await upload({ ...settings, S3_SECRET_KEY: "this-is-not-the-secret" });
  expect(ran.status).toBe(1);
  expect(ran.stderr).toMatch(/S3_SECRET_KEY|S3_ACCESS_KEY/);
  expect(ran.stderr).not.toContain("this-is-not-the-secret");
  expect(scheduled.backupsIn(world.s3, bucket)).toEqual([]);
  expect((await upload(settings)).status).toBe(0);
});

test("container 2.7: BACKUP_INTERVAL and BACKUP_TIMEZONE decide when; the next three runs are logged", async () => {
  const { settings } = await scheduled.schedulerSettings(world);
  const daily = { ...settings, BACKUP_INTERVAL: "0 3 * * *", BACKUP_TIMEZONE: "Asia/Kolkata" };
  const scheduler = scheduled.startScheduler(daily);
  const { nextRuns } = (await scheduler.says(/next runs/)) as unknown as { nextRuns: string[] };
  scheduler.kill("SIGTERM");
  await scheduler.done;
  expect(nextRuns).toHaveLength(3);
  for (const [i, time] of nextRuns.entries()) {
    expect(time).toEndWith("T21:30:00.000Z");
    expect(Date.parse(time)).toBeGreaterThan(Date.now() + i * 86_400_000);
  }
});

const wrong: [interval: string, cause: RegExp][] = [
  ["whenever", /BACKUP_INTERVAL whenever is not a cron expression/],
  ["0 0 30 2 *", /BACKUP_INTERVAL 0 0 30 2 \* never ticks/],
];
test.each(wrong)("container 2.7: BACKUP_INTERVAL %s is refused before anything begins", async (interval, cause) => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const ran = await installScripts().run("schedule", [], { env: { ...settings, BACKUP_INTERVAL: interval } });
  expect(ran).toMatchObject({ status: 2, stdout: "", stderr: expect.stringMatching(cause) });
  expect(world.s3.asked.filter((request) => request.bucket === bucket)).toEqual([]);
});

test("container 2.8: schedule without settings lists all that is missing and exits with 2", async () => {
  const ran = await installScripts().run("schedule");
  expect(ran).toMatchObject({ status: 2, stdout: "" });
  for (const name of ["DATABASE_URL", "S3_BUCKET", "BACKUP_INTERVAL"]) expect(ran.stderr).toContain(name);
  expect(ran.stderr).not.toMatch(/\n\s+at /);
});

test("container 2.8: schedule without BACKUP_INTERVAL names it alone", async () => {
  const { settings } = await scheduled.schedulerSettings(world);
  const ran = await installScripts().run("schedule", [], { env: { ...settings, BACKUP_INTERVAL: "" } });
  expect(ran.status).toBe(2);
  expect(ran.stderr.match(/missing: \w+/g)).toEqual(["missing: BACKUP_INTERVAL"]);
});
