/** Container requirement 3, on the image as it is really built: what is in it, and how it runs, stops and goes on. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { buildImage, type Containers, engine, openContainers } from "../support/servers/containers.ts";
import * as scheduled from "../support/machine/scheduled.ts";
import { until } from "../support/machine/until.ts";
import { describeWhere } from "../support/machine/where.ts";

describeWhere(engine !== undefined, "an engine for containers")("the image", () => {
  let containers: Containers;
  let image: string;
  let world: scheduled.World;
  const started: string[] = [];
  beforeAll(async () => {
    containers = await openContainers();
    image = await buildImage(containers);
    world = await scheduled.openWorld();
    await scheduled.addLarge(world);
  }, 900_000);
  afterAll(async () => {
    if (started.length > 0) await containers.must(["rm", "--force", "--volumes", ...started]);
    await containers.close();
    await world.stop();
  });

  /** As locked up as can be: no root, no capability, nothing writable but its volume. */
  const strict = ["--network", "host", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
  if (engine === "podman") strict.push("--read-only-tmpfs=false", "--pull=never");

  const environment = (settings: Record<string, string>) =>
    Object.entries(settings).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
  const run = (settings: Record<string, string>, ...command: string[]) =>
    containers.cli(["run", "--rm", ...strict, ...environment(settings), image, ...command]);
  const inspect = (name: string, format: string) => containers.must(["inspect", "--format", format, name]);

  /** Starts a container in the background. */
  async function start(settings: Record<string, string>, ...options: string[]) {
    const id = await containers.must(["run", "--detach", ...strict, ...options, ...environment(settings), image]);
    started.push(id);
    let log = "";
    const lines = () => scheduled.parseLines(log);
    return {
      id,
      async says(text: RegExp) {
        await until(`the container says ${text}`, async () => {
          log = (await containers.cli(["logs", id])).stderr;
          return lines().some(({ message }) => text.test(message));
        });
        return scheduled.says(text, lines, () => log);
      },
      exec: (...command: string[]) => containers.cli(["exec", id, ...command]),
      /** Sends SIGTERM; returns the exit status. */
      async stop() {
        await containers.must(["stop", "--time", "60", id]);
        return Number(await inspect(id, "{{.State.ExitCode}}"));
      },
    };
  }

  test("container 3.1: holds the client programs, is small, and says what it is", async () => {
    const bytes = Number(await inspect(image, "{{.Size}}"));
    expect(bytes).toBeLessThan(350_000_000);
    expect(await inspect(image, "{{json .Config.Entrypoint}} {{json .Config.Cmd}}")).toBe('["tini","--"] ["schedule"]');
    const labels = JSON.parse(await inspect(image, "{{json .Config.Labels}}")) as Record<string, string>;
    expect(labels).toMatchObject({
      "org.opencontainers.image.title": "backup_scripts",
      "org.opencontainers.image.licenses": "MIT",
    });
    const programs = "ls /usr/lib/postgresql/*/bin && psql=$(ls /usr/lib/postgresql/*/bin/psql | tail -1)";
    const versions = "$psql --version && mariadb --version && mariadb-dump --version && backup --version";
    const { stdout, status } = await run({}, "sh", "-c", `${programs} && ${versions}`);
    expect(status).toBe(0);
    for (const words of [/^pg_dump$/m, /^psql \(PostgreSQL\) \d+/m, /^mariadb .*client/m, /^mariadb-dump /m])
      expect(stdout).toMatch(words);
  });

  test("container 3.1: is built with the Bun that the project is tested with", () => {
    const root = `${import.meta.dir}/../..`;
    const text = readFileSync(`${root}/package.json`, "utf8");
    const { packageManager, version } = JSON.parse(text) as { packageManager: string; version: string };
    const dockerfile = readFileSync(`${root}/Dockerfile`, "utf8");
    expect(`bun@${/^ARG BUN_VERSION=(.*)$/m.exec(dockerfile)?.[1]}`).toBe(packageManager);
    expect(dockerfile).toContain(`\nARG VERSION=${version}\n`);
  });

  test("container 3.4: missing settings are named, nothing begins, and the exit status is 2", async () => {
    const ran = await run({});
    expect(ran).toMatchObject({ status: 2, stdout: "" });
    const [error] = scheduled.parseLines(ran.stderr);
    for (const name of ["DATABASE_URL", "S3_BUCKET", "BACKUP_INTERVAL"]) expect(error?.message).toContain(name);
    expect(error).toMatchObject({ level: "error", exitStatus: 2 });
  });

  test("container 3.4: a BACKUP_INTERVAL that never ticks is refused", async () => {
    const { settings } = await scheduled.schedulerSettings(world);
    const ran = await run({ ...settings, BACKUP_INTERVAL: "0 0 30 2 *" });
    expect(ran).toMatchObject({ status: 2, stderr: expect.stringContaining("never ticks") });
  });

  test("container 3.2: backs up on its own, unprivileged, on a read-only file system; is healthy; stops with 0", async () => {
    const { bucket, settings } = await scheduled.schedulerSettings(world);
    const { BACKUP_KEEP_LOCAL: _, LOG_FORMAT: __, ...plain } = settings;
    const container = await start(plain);
    await container.says(/^backup done: s3:/);
    await until("two backups are in S3", () => scheduled.committedIn(world.s3, bucket).length >= 2);
    expect((await container.exec("id", "-u")).stdout.trim()).toBe("10001");
    expect((await container.exec("touch", "/opt/x")).stderr).toContain("Read-only file system");
    expect((await container.exec("schedule", "--check")).stdout).toStartWith("healthy");
    if (engine === "podman") expect((await containers.cli(["healthcheck", "run", container.id])).status).toBe(0);

    // what a child leaves behind is buried by process 1; until then its name is seen, also when it is dead
    await container.exec("sh", "-c", "(sleep 0.2 &)");
    const names = async () => (await container.exec("sh", "-c", "cat /proc/[0-9]*/comm")).stdout.split("\n");
    await until("the orphan is buried", async () => !(await names()).includes("sleep"));
    expect(await names()).toContain("tini");
    expect(await container.stop()).toBe(0);
  });

  test("container 3.5: stopped in the middle of a dump, it leaves nothing and exits with 143", async () => {
    const { bucket, settings } = await scheduled.schedulerSettings(world, "large");
    world.s3.faults.push({ operation: "UploadPart", delay: 120_000 });
    const container = await start({ ...settings, BACKUP_GRACE_SECONDS: "1" });
    await until("an upload is under way", () => world.s3.uploads(bucket).length > 0);
    expect(await container.stop()).toBe(143);
    await scheduled.expectNothingLeft(world, bucket);
    world.s3.faults.splice(0);
  });

  test("container 3.5: stopped in the middle of a dump, it finishes within the grace period and exits with 0", async () => {
    const { bucket, settings } = await scheduled.schedulerSettings(world, "large");
    const stopped = Promise.withResolvers<void>();
    world.s3.faults.push({ operation: "UploadPart", delay: stopped.promise });
    const container = await start({ ...settings, BACKUP_GRACE_SECONDS: "60" });
    await until("an upload is under way", () => world.s3.uploads(bucket).length > 0);
    const end = container.stop();
    await container.says(/has 60 s to finish/);
    stopped.resolve();
    expect(await end).toBe(0);
    expect(scheduled.committedIn(world.s3, bucket)).toHaveLength(1);
    world.s3.faults.splice(0);
  });

  test("container 3.5: a run that was missed while it was down is made up at the start, and only once", async () => {
    const { bucket, settings } = await scheduled.schedulerSettings(world);
    scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(800)}`);
    const container = await start({ ...settings, BACKUP_INTERVAL: "@yearly" });
    await container.says(/was missed .* ago; running it now/);
    await container.says(/^backup done/);
    expect(await container.stop()).toBe(0);
    await containers.must(["start", container.id]);
    await until("it has started again", async () => {
      const { stderr } = await containers.cli(["logs", container.id]);
      return stderr.match(/next runs/g)?.length === 2;
    });
    expect(await container.stop()).toBe(0);
    expect(scheduled.committedIn(world.s3, bucket)).toHaveLength(2);
  });

  test("one shot: backup --upload, on a folder that anybody may write to (Kubernetes' emptyDir)", async () => {
    const { bucket, settings } = await scheduled.schedulerSettings(world);
    const volume = ["--tmpfs", "/data:mode=1777"];
    const words = ["run", "--rm", ...strict, ...volume, ...environment(settings), image, "backup", "--upload"];
    const ran = await containers.cli(words);
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stdout).toBe(`s3://${bucket}/${scheduled.committedIn(world.s3, bucket)[0]}\n`);
  });
});
