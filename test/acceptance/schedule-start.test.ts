/** What `schedule` finds out at its start, and who hears of it. */
import { expect, test } from "bun:test";
import { installScripts } from "../support/machine/executables.ts";
import * as scheduled from "../support/machine/scheduled.ts";
import { startHttpServer } from "../support/servers/http.ts";
import { startBlackHole, startMailServer } from "../support/servers/smtp.ts";

const world = scheduled.useWorld();

const yearly = "@yearly";

test("N3: wrong settings are reported once, however often a supervisor starts it again", async () => {
  const mail = await startMailServer({ security: "none" });
  const health = startHttpServer();
  const { settings } = await scheduled.schedulerSettings(world);
  const scripts = installScripts();
  const good = {
    ...settings,
    ...mail.settings,
    EMAIL_NOTIFY_MODE: "FAILURE_ONLY",
    HEALTHCHECK_URL: `${health.url}/uuid`,
  };
  const bad = { ...good, BACKUP_INTERVAL: "whenever" };
  for (let start = 0; start < 3; start++) {
    const ran = await scripts.run("schedule", [], { env: bad });
    expect([ran.status, ran.stderr]).toEqual([
      2,
      expect.stringContaining("BACKUP_INTERVAL whenever is not a cron expression"),
    ]);
  }
  expect(mail.mails.map(({ parsed }) => parsed.subject)).toEqual([expect.stringMatching(/^FAILED: .* schedule$/)]);
  expect(mail.only().parsed.text).toContain("BACKUP_INTERVAL whenever is not a cron expression");
  expect(health.asked.map(({ path }) => path)).toEqual(["/uuid/fail"]);
  // another fault is news, and so is the same one after all was well
  await scripts.run("schedule", [], { env: { ...bad, S3_BUCKET: "" } });
  expect(mail.mails).toHaveLength(2);
  const scheduler = scheduled.startScheduler({ ...good, BACKUP_INTERVAL: yearly }, scripts);
  await scheduler.says(/^checked what a run needs/);
  scheduler.kill("SIGTERM");
  expect((await scheduler.done).status).toBe(0);
  await scripts.run("schedule", [], { env: bad });
  expect(mail.mails).toHaveLength(3);
  // whoever asks sees it
  await scripts.run("schedule", ["--check"], { env: { ...bad, S3_BUCKET: "" } });
  await scripts.run("schedule", ["--dry-run"], { env: { ...bad, S3_BUCKET: "" } });
  expect(mail.mails).toHaveLength(3);
  await mail.stop();
  await health.stop();
});

test("N5: what a run needs is tried at the start; the health check names what is missing, until it works", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const scripts = installScripts();
  const env = { ...settings, BACKUP_INTERVAL: yearly };
  const wrong = { ...env, S3_SECRET_KEY: "not-the-secret-key" };
  const check = (given: Record<string, string>) => scripts.run("schedule", ["--check"], { env: given });
  const first = scheduled.startScheduler(wrong, scripts);
  const line = await first.says(/^a run would fail now; the schedule continues/);
  expect(line).toMatchObject({
    level: "error",
    message: expect.stringMatching(/✓ database .*✗ storage .*secret key.*hint: /s),
  });
  expect(await check(wrong)).toMatchObject({
    status: 1,
    stderr: expect.stringMatching(
      /unhealthy: the next run will fail: storage .*secret key .*; there is no good backup yet/,
    ),
  });
  // put right meanwhile, as on the server's side
  expect(await check(env)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^healthy: there is no good backup yet/),
  });
  first.kill("SIGTERM");
  expect((await first.done).status).toBe(0);
  expect(scheduled.backupsIn(world.s3, bucket)).toEqual([]);

  const second = scheduled.startScheduler(env, scripts);
  await second.says(/^checked what a run needs:\n✓ database .*\n✓ privileges.*\n✓ storage /);
  expect((await scripts.run("backup", ["--upload"], { env })).status).toBe(0);
  expect(await check(env)).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^healthy: the last good backup began/),
  });
  second.kill("SIGTERM");
  await second.done;
});

test("N5: a wrong password is named at the start too", async () => {
  const { settings } = await scheduled.schedulerSettings(world);
  const url = new URL(settings.DATABASE_URL);
  url.password = "not-the-password";
  const env = { ...settings, DATABASE_URL: url.href, BACKUP_INTERVAL: yearly };
  const scripts = installScripts();
  const scheduler = scheduled.startScheduler(env, scripts);
  await scheduler.says(/^a run would fail now; the schedule continues:\n✗ database .*password authentication failed/);
  const { stderr } = await scripts.run("schedule", ["--check"], { env });
  expect(stderr).toMatch(/unhealthy: the next run will fail: database .*password authentication failed/);
  scheduler.kill("SIGTERM");
  await scheduler.done;
});

test("an S3 server that never answers: the schedule begins all the same, and the health check names the cause before Docker ends it", async () => {
  const { settings } = await scheduled.schedulerSettings(world);
  const silent = await startBlackHole();
  const env = { ...settings, S3_URL: `http://127.0.0.1:${silent.port}`, BACKUP_INTERVAL: yearly };
  const scripts = installScripts();
  const scheduler = scheduled.startScheduler(env, scripts);
  await scheduler.says(/there is no good backup yet; next runs/);
  await scheduler.says(/^a run would fail now; .*✗ storage .*: no answer within 30 s/s);
  const { stderr } = await scripts.run("schedule", ["--check"], { env, limitMs: 30_000 });
  expect(stderr).toMatch(/unhealthy: the next run will fail: storage .*: no answer within 8 s/);
  scheduler.kill("SIGTERM");
  await scheduler.done;
  await silent.stop();
});

test.each([
  ["Europe/Berlin", "UTC", true],
  ["UTC", "Europe/Berlin", true],
  ["Etc/UTC", "UTC", false],
  ["Europe/Berlin", "Europe/Berlin", false],
])("N13: TZ=%s with BACKUP_TIMEZONE=%s is warned of: %p", async (TZ, BACKUP_TIMEZONE, warned) => {
  const { settings } = await scheduled.schedulerSettings(world);
  const scheduler = scheduled.startScheduler({ ...settings, BACKUP_INTERVAL: yearly, BACKUP_TIMEZONE, TZ });
  await scheduler.says(/^checked what a run needs/);
  const lines = scheduler.lines().filter(({ message }) => message.startsWith("TZ is "));
  expect(lines.map(({ level, message }) => [level, message])).toEqual(
    warned
      ? [
          [
            "warn",
            expect.stringContaining(
              `TZ is ${TZ}, but BACKUP_INTERVAL is read in BACKUP_TIMEZONE, which is ${BACKUP_TIMEZONE}`,
            ),
          ],
        ]
      : [],
  );
  scheduler.kill("SIGTERM");
  await scheduler.done;
});
