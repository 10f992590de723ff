/** `schedule` proves backups at VERIFY_INTERVAL, beside the backups; the health check, metrics and notices know the last proof. */
import { expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { installScripts } from "../support/machine/executables.ts";
import { startHttpServer } from "../support/servers/http.ts";
import * as scheduled from "../support/machine/scheduled.ts";
import { until } from "../support/machine/until.ts";

const world = scheduled.useWorld();

const yearly = "@yearly";
const often = "*/2 * * * * *";
const databases = () => world.postgres.sql("postgres", "SELECT string_agg(datname, ',') FROM pg_database");

test("a scheduled proof is of a backup in S3; health check, metrics, webhook and report know it, until one fails", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const [health, hook] = [startHttpServer(), startHttpServer()];
  const scripts = installScripts();
  const env = {
    ...settings,
    BACKUP_INTERVAL: yearly,
    VERIFY_INTERVAL: often,
    HEALTHCHECK_URL: `${health.url}/uuid`,
    METRICS_FILE: join(scripts.dir, "metrics.prom"),
    REPORT_FILE: join(scripts.dir, "report.html"),
    EMAIL_NOTIFY_MODE: "SUCCESS_AND_FAILURE",
    NOTIFY_WEBHOOK_URL: `${hook.url}/hook`,
  };
  expect((await scripts.run("backup", ["--upload"], { env: { ...env, HEALTHCHECK_URL: "" } })).status).toBe(0);
  // another database's, newer and not proved, is none of its business
  scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(0, "another")}`);
  const check = (given: Record<string, string>) => scripts.run("schedule", ["--check"], { env: given });
  const scheduler = scheduled.startScheduler(env, scripts);
  await scheduler.says(/there is no proof yet; next proofs:\n/);
  expect(await scheduler.says(/MANIFEST_KEY is not set/)).toMatchObject({ level: "warn" });
  await scheduler.says(/^verify done: shop_/);
  await scheduler.says(/^next proof /);
  const objects = [...world.s3.objects(bucket).keys()];
  expect(objects.filter((key) => key.endsWith(".proof.json"))).toEqual([
    `${scheduled.backupsIn(world.s3, bucket).find((key) => key.startsWith("nightly/shop/shop_"))}.proof.json`,
  ]);
  scheduler.kill("SIGTERM");
  expect(await scheduler.done).toMatchObject({ status: 0, stdout: "" });
  // a good proof must not stand for a backup that never ran
  expect(health.asked).toEqual([]);
  expect(readFileSync(env.METRICS_FILE, "utf8")).toMatch(/last_verify_duration_seconds\{script="verify".*\} [\d.]+\n/);
  expect(readFileSync(env.REPORT_FILE, "utf8")).toContain("Last run: verify done");
  expect(hook.asked.map(({ body }) => JSON.parse(body) as object)).toContainEqual(
    expect.objectContaining({ script: "verify", status: "success", rows: 1000, restoreSeconds: expect.any(Number) }),
  );
  expect(await check({ ...env, VERIFY_INTERVAL: yearly })).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/^healthy: the last good backup began .*; the last proof is from /),
  });

  const failing = {
    ...env,
    VERIFY_QUERY: "SELECT count(*) = 7 FROM item",
    VERIFY_INTERVAL: yearly,
    BACKUP_CATCH_UP: "true",
  };
  const again = scheduled.startScheduler({ ...failing, VERIFY_INTERVAL: often }, scripts);
  await again.says(/the scheduled proof failed \(exit status 1\); the schedule continues/);
  again.kill("SIGTERM");
  await again.done;
  expect(health.asked.map(({ path }) => path)).toContain("/uuid/fail");
  const unhealthy = await until("a proof that is overdue", async () => {
    const said = await check({ ...failing, VERIFY_INTERVAL: often });
    return said.status === 1 && said.stderr;
  });
  expect(unhealthy).toMatch(/unhealthy: a proof has been due since .*\n.*the last proof failed: VERIFY_QUERY/s);
  expect(await databases()).not.toContain("_verify_");
  await Promise.all([health.stop(), hook.stop()]);
});

test("a proof that takes long delays no backup, and is not swept by one", async () => {
  const { settings } = await scheduled.schedulerSettings(world);
  const scripts = installScripts();
  // the proof waits for this file
  const go = join(world.postgres.socketDir, "go");
  const look = `SELECT (pg_stat_file('${go}', true)).size AS found, pg_sleep(0.1)`;
  const VERIFY_QUERY = `WITH RECURSIVE w AS (${look} UNION ALL ${look} FROM w WHERE found IS NULL) SELECT count(*) > 0 FROM w`;
  const env = { ...settings, VERIFY_QUERY, BACKUP_CATCH_UP: "true" };
  expect((await scripts.run("backup", ["--upload"], { env })).status).toBe(0);
  const scheduler = scheduled.startScheduler({ ...env, VERIFY_INTERVAL: "*/7 * * * * *" }, scripts);
  await scheduler.says(/ was restored into /);
  const done = () => scheduler.lines().filter(({ message }) => message.startsWith("backup done")).length;
  const before = done();
  await until("two backups are done beside the proof", () => done() >= before + 2);
  expect(scheduler.lines().some(({ message }) => message.startsWith("verify done"))).toBe(false);
  writeFileSync(go, "");
  await scheduler.says(/^verify done: shop_/);
  scheduler.kill("SIGTERM");
  expect((await scheduler.done).status).toBe(0);
  expect(scripts.list()).toEqual([]);
});

test("a wrong VERIFY_INTERVAL is refused; a dry run shows the next proofs and tries the server for them", async () => {
  const { settings } = await scheduled.schedulerSettings(world);
  const scripts = installScripts();
  const run = (VERIFY_INTERVAL: string, more = {}) =>
    scripts.run("schedule", ["--dry-run"], { env: { ...settings, VERIFY_INTERVAL, ...more } });
  expect(await run("whenever")).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("VERIFY_INTERVAL whenever is not a cron expression"),
  });
  const wrong = world.postgres.url("postgres").replace(/:\d+\//, ":9/");
  const ran = await run(often, { VERIFY_DATABASE_URL: wrong, MANIFEST_KEY: "a".repeat(20) });
  expect(ran.status).toBe(1);
  expect(ran.stdout).toMatch(/✓ VERIFY_INTERVAL .*: next proofs .*\n✗ database postgresql:\/\/\S+:9\//);
});
