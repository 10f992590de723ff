/** Container requirement 6: what the scheduler logs, its metrics and its health check. */
import { afterEach, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clientsWith } from "../support/servers/clients.ts";
import { installScripts } from "../support/machine/executables.ts";
import * as scheduled from "../support/machine/scheduled.ts";
import { expectNoSecrets } from "../support/expect/secrets.ts";
import { until } from "../support/machine/until.ts";

const world = scheduled.useWorld();
afterEach(() => world.s3.faults.splice(0));

test("container 6.1: the settings are logged at the start, without secrets", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const secrets = {
    SMTP_HOST: "127.0.0.1",
    SMTP_USER: "mailer",
    SMTP_PASSWORD: "mail-p@ss word",
    NOTIFY_WEBHOOK_URL: "http://127.0.0.1:1/hook/very-secret-token",
    HEALTHCHECK_URL: "http://127.0.0.1:1/ping/another-secret-token",
    S3_SESSION_TOKEN: "session-token-of-mine",
  };
  const scheduler = scheduled.startScheduler({ ...settings, ...secrets, BACKUP_INTERVAL: "@yearly" });
  const { message } = await scheduler.says(/^settings:/);
  scheduler.kill("SIGTERM");
  const { stderr } = await scheduler.done;
  const { SMTP_HOST: _host, SMTP_USER: _user, ...hidden } = secrets;
  const s3 = [settings.S3_SECRET_KEY, settings.S3_ACCESS_KEY];
  expectNoSecrets(stderr, [...Object.values(hidden), ...s3, settings.DATABASE_URL, world.postgres.password]);
  for (const line of [`S3_BUCKET=${bucket}`, "S3_PATH=nightly/shop", "BACKUP_INTERVAL=@yearly", "BACKUP_TIMEZONE=UTC"])
    expect(message).toContain(line);
  for (const name of ["DATABASE_URL", ...Object.keys(hidden)]) expect(message).toContain(`${name}=(set, not shown)`);
  expect(stderr).toContain(`127.0.0.1:${world.postgres.port}/shop`);
});

test("container 6.2, 6.3, 6.5: each tick, the beginning and the end of its run are logged, in JSON with stable keys", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const scheduler = scheduled.startScheduler(settings);
  const tick = await scheduler.says(/^scheduled run of .* starts$/);
  const begin = await scheduler.says(/^backup of postgresql:.* starts:/);
  const end = await scheduler.says(/^backup done/);
  const next = await scheduler.says(/^next run/);
  scheduler.kill("SIGTERM");
  await scheduler.done;
  expect(new Date(String(tick.tick)).getSeconds() % 2).toBe(0);
  expect(begin).toMatchObject({ level: "info", database: "shop", startedAt: expect.stringMatching(/Z$/) });
  expect(end).toMatchObject({ remoteLocation: expect.stringContaining(`s3://${bucket}/nightly/shop/shop_`) });
  expect(end.bytes).toBeGreaterThan(0);
  expect(end.durationMs).toBeGreaterThan(0);
  expect(Date.parse(String(next.nextRun))).toBeGreaterThan(Date.parse(String(tick.tick)));
  for (const line of scheduler.lines()) {
    expect(Object.keys(line).slice(0, 4)).toEqual(["time", "level", "script", "message"]);
    expect(line.script).toBe("schedule");
  }
});

test.each(["json", "text"])(
  "container 6.4: an unexpected error is logged with its stack (LOG_FORMAT=%s)",
  async (format) => {
    const { settings } = await scheduled.schedulerSettings(world);
    // answers every question, with nothing that any server would say
    const psql = String.raw`exec sed -n -E 's/^SELECT (1[0-9]+);$/\1\nnull/p; s/^SELECT (2[0-9]+);$/\1/p'`;
    const DB_CLIENT_DIR = clientsWith(world.postgres.clientDir, { psql });
    const env = { ...settings, DB_CLIENT_DIR, LOG_FORMAT: format };
    const ran = await installScripts().run("backup", ["--upload"], { env });
    expect(ran.status).toBe(1);
    const [line] = format === "json" ? scheduled.parseLines(ran.stderr).filter(({ level }) => level === "error") : [];
    expect(format === "json" ? String(line?.stack) : ran.stderr).toMatch(/null.*\n\s+at /s);
  },
);

test("container 6.7: an upload that fails is logged with its tries, and tried again", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  world.s3.faults.push({ operation: "PutObject", times: 2, instead: { status: 503, code: "SlowDown" } });
  const ran = await installScripts().run("backup", ["--upload"], { env: settings });
  expect(ran.status, ran.stderr).toBe(0);
  const tries = scheduled.parseLines(ran.stderr).filter(({ level }) => level === "warn");
  expect(tries.map((line) => line.try)).toEqual([1, 2]);
  for (const { message } of tries)
    expect(message).toMatch(/^upload of .* failed \(try \d of \d+\), next try in .*SlowDown/);
  expect(scheduled.committedIn(world.s3, bucket)).toHaveLength(1);
});

test("METRICS_FILE: is written after every run, good or not", async () => {
  const { settings } = await scheduled.schedulerSettings(world);
  const scripts = installScripts();
  const METRICS_FILE = join(scripts.dir, "backup.prom");
  const env = { ...settings, METRICS_FILE, SITE_NAME: "test" };
  const sample = (name: string, database = "shop") =>
    Number(
      new RegExp(`^backup_scripts_${name}{script="backup",site="test",database="${database}"} (.*)$`, "m").exec(
        metrics(),
      )?.[1],
    );
  const metrics = () => readFileSync(METRICS_FILE, "utf8");
  const before = Date.now() / 1000 - 1;
  expect((await scripts.run("backup", ["--upload"], { env })).status).toBe(0);
  const good = sample("last_success_timestamp_seconds");
  expect(good).toBeWithin(before, Date.now() / 1000 + 1);
  expect([sample("last_run_success"), sample("last_success_bytes") > 500]).toEqual([1, true]);
  const broken = { ...env, DATABASE_URL: world.postgres.url("nowhere") };
  expect((await scripts.run("backup", ["--upload"], { env: broken })).status).toBe(1);
  expect([sample("last_run_success", "nowhere"), sample("last_run_exit_status", "nowhere")]).toEqual([0, 1]);
  expect([sample("last_run_success"), sample("last_run_warnings")]).toEqual([1, 0]);
  expect(sample("last_success_timestamp_seconds")).toBe(good);
  const nowhere = { ...env, METRICS_FILE: join(scripts.dir, "no/such/folder/backup.prom") };
  const ran = await scripts.run("backup", ["--upload"], { env: nowhere });
  expect(ran).toMatchObject({ status: 0, stderr: expect.stringContaining("cannot write METRICS_FILE") });
});

test("schedule --check: healthy after a good run, unhealthy when one is overdue, healthy again after one by hand", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const scripts = installScripts();
  const check = () => scripts.run("schedule", ["--check"], { env: settings });
  const state = join(scripts.backups, ".shop.schedule.json");

  const nothing = await check();
  const never = "unhealthy: no schedule has run here, and no good backup is known";
  expect(nothing).toMatchObject({ status: 1, stdout: "", stderr: expect.stringContaining(never) });

  const scheduler = scheduled.startScheduler(settings, scripts);
  await scheduler.says(/^next run/);
  // by the short interval it may be overdue again before a busy machine has looked
  const healthy = await scripts.run("schedule", ["--check"], { env: { ...settings, BACKUP_INTERVAL: "@yearly" } });
  expect(healthy).toMatchObject({ status: 0, stdout: expect.stringMatching(/^healthy: the last good backup/) });
  scheduler.kill("SIGTERM");
  await scheduler.done;

  await until("a backup is overdue", async () => (await check()).status === 1);
  expect((await check()).stderr).toMatch(/unhealthy: a backup has been due since .*; the last good backup began/);

  const daily = { ...settings, BACKUP_INTERVAL: "@daily" };
  const old = { since: "2020-01-01T00:00:00.000Z", good: "2020-01-02T00:00:00.000Z", failure: "no room" };
  writeFileSync(state, JSON.stringify(old));
  expect((await scripts.run("schedule", ["--check"], { env: daily })).status).toBe(0);

  world.s3.objects(bucket).clear();
  const lost = await scripts.run("schedule", ["--check"], { env: daily });
  expect(lost).toMatchObject({ status: 1, stderr: expect.stringContaining("the last run failed: no room") });
  expect(existsSync(state)).toBe(true);
});

test("schedule --check: a backup that is named in the future does not make up for one that is overdue", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const env = { ...settings, BACKUP_INTERVAL: "@daily" };
  const check = () => installScripts().run("schedule", ["--check"], { env });
  scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(-1)}`);
  expect((await check()).stderr).toContain("unhealthy: no schedule has run here");
  scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(3)}`);
  expect(await check()).toMatchObject({ status: 1, stderr: expect.stringMatching(/unhealthy: a backup has been due/) });
  // two machines' clocks need not agree
  scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(-1 / 288)}`);
  expect(await check()).toMatchObject({ status: 0, stdout: expect.stringMatching(/^healthy/) });
});
