/** Many files: memory and open files stay bounded, and a sync of them ends. */
import { afterAll, beforeAll, expect } from "bun:test";
import { linkSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeBackup } from "../support/expect/backups.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { type S3Server, startS3Server, storeObject } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { mostUsed, usageText } from "../support/machine/usage.ts";
import { testWhere } from "../support/machine/where.ts";

const [files, objects, missing] = [5_000, 20_000, 300];
/** For a run that hangs (ms). */
const limitMs = 600_000;
let s3: S3Server;
let scripts: Installation;
beforeAll(() => {
  s3 = startS3Server();
  scripts = installScripts();
});
afterAll(async () => {
  scripts.remove();
  await s3.stop();
});

/** A backup an hour, counted back from 2026. */
const nameOf = (i: number) => {
  const stamp = new Date(Date.UTC(2026, 0, 1) - i * 3_600_000).toISOString().slice(0, 19);
  return `app_${stamp.replace("T", "_").replaceAll(":", "-")}.sql.gz`;
};

testWhere(process.platform === "linux", "Linux")(
  `sync of ${files} local backups to a bucket of ${objects} objects`,
  async () => {
    const bucket = await s3.newBucket();
    scripts.configure({ ...s3Settings(s3, bucket), REMOTE_S3_DELETE: "true" });
    mkdirSync(scripts.backups, { mode: 0o700 });
    const source = join(scripts.dir, "source");
    const pair = writeBackup(source, "app", "2026-01-01", 2_000);
    const parts = [pair[0], pair[1]].map((name, i) => ({ path: join(source, name), end: ["", ".json"][i] ?? "" }));
    for (let i = 0; i < files; i++)
      for (const { path, end } of parts) linkSync(path, join(scripts.backups, nameOf(i) + end));
    const bodies = parts.map(({ path, end }) => ({ body: readFileSync(path), end }));
    const there = s3.objects(bucket);
    // the newest are missing; the last of them are gone locally
    for (let i = missing; i < objects / 2 + missing; i++)
      for (const { body, end } of bodies) storeObject(there, nameOf(i) + end, body);
    expect(there.size).toBe(objects);

    const planning = scripts.start("sync", ["--dry-run"], { limitMs });
    const plan = await mostUsed(planning.pid, planning.done);
    const planned = await planning.done;
    expectSuccess(planned);
    expect(planned.stdout).toMatch(/600 to upload, 9400 already there, 10600 to delete/);

    scripts.configure(s3Settings(s3, bucket));
    const running = scripts.start("sync", [], { limitMs });
    const most = await mostUsed(running.pid, running.done);
    const ran = await running.done;
    expectSuccess(ran);
    expect(ran.stderr).toContain(`${2 * missing} files uploaded`);
    expect(there.size).toBe(objects + 2 * missing);
    console.log(`load: plan ${usageText(plan)}; sync ${usageText(most)}`);
    expect(Math.max(plan.peakMegabytes, most.peakMegabytes)).toBeLessThan(400);
    expect(Math.max(plan.open, most.open)).toBeLessThan(256);
  },
  limitMs,
);
