/** Container requirement 3.3: docker-compose.yml is complete, and it runs, with stand-ins where an image would be pulled. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { settingNames } from "../../scripts-src/settings/settings.ts";
import * as support from "../support/servers/containers.ts";
import { parseLines } from "../support/machine/scheduled.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";
import { describeWhere } from "../support/machine/where.ts";
import { buildDemoImages } from "./standins.ts";

const file = resolve(import.meta.dir, "../../docker-compose.yml");
const text = readFileSync(file, "utf8");

test("container 3.3: docker-compose.yml has an example of every setting", () => {
  for (const name of settingNames) expect(text).toMatch(new RegExp(`^ *#?${name}(_FILE)?: \\S`, "m"));
});

// a Docker engine would pull the demo's images: on a machine that has one, people see for themselves
describeWhere(support.engine === "podman", "podman")("docker compose", () => {
  let containers: support.Containers;
  let program: string;
  const folder = tempDir("compose");

  beforeAll(async () => {
    const outside = await support.openContainers("host");
    try {
      await support.buildImage(outside);
      await buildDemoImages(outside.must, text);
      program = await support.composeProgram(outside.must);
    } finally {
      await outside.close();
    }
    containers = await support.openContainers("own");
    const { inside } = containers;
    void inside(["podman", "system", "service", "--time=0", support.podmanSocket]);
    // without systemd nothing fires the health checks
    void inside(["sh", "-c", "while sleep 1; do for c in $(podman ps -q); do podman healthcheck run $c; done; done"]);
    await until("podman listens", async () => (await compose("ls")).status === 0);
    mkdirSync(join(folder, "secrets"));
  }, 900_000);
  afterAll(async () => {
    await compose("--profile", "demo", "down", "--volumes");
    await containers.close();
  }, 120_000);

  const compose = (...words: string[]) =>
    containers.inside(
      [program, "--project-directory", folder, "--file", join(folder, "docker-compose.yml"), ...words],
      {
        DOCKER_HOST: support.podmanSocket,
      },
    );
  /** Starts a service as `docker compose up` would, but for pulling and building. */
  const up = (service: string) =>
    compose("--profile", "demo", "up", "--detach", "--no-build", "--pull", "never", "--wait", service);
  const mails = async () => {
    const script = "console.log(await (await fetch('http://127.0.0.1:8025/api/v1/messages')).text())";
    const ran = await containers.inside([process.execPath, "-e", script]);
    return JSON.parse(ran.stdout) as { messages: { Subject: string }[] };
  };

  test("container 3.3: the demo backs up every minute, into its own S3 server, and a mail tells of it", async () => {
    cpSync(file, join(folder, "docker-compose.yml"));
    const started = await up("demo");
    expect(started.status, started.stderr).toBe(0);
    const done = await compose("exec", "demo", "backup", "--upload");
    // 5: the scheduler's own run is under way
    if (done.status !== 5) expect(done.stdout, done.stderr).toMatch(/^s3:\/\/demo\/postgres_\S+\.sql\.gz\s*$/);
    await until("a mail tells of a backup", async () =>
      (await mails()).messages.some(({ Subject }) => Subject.startsWith("OK: demo backup")),
    );
    expect((await compose("exec", "demo", "schedule", "--check")).stdout).toStartWith("healthy");
  });

  test("container 3.3: filled in, with its secrets in files, it runs, is healthy, and stops in time", async () => {
    const filledIn = text
      .replace("https://s3.example.com # your storage; without this line: AWS", "http://demo-storage:7070")
      .replace("your-bucket", "demo")
      .replace("your-access-key", "demo-key");
    writeFileSync(join(folder, "docker-compose.yml"), filledIn);
    const secrets = {
      database_url: "postgres://postgres:demo-password@demo-database/postgres\n",
      s3_secret_key: "demo-secret",
    };
    for (const [name, value] of Object.entries(secrets))
      writeFileSync(join(folder, "secrets", name), value, { mode: 0o644 });
    const started = await up("backup");
    expect(started.status, started.stderr).toBe(0);
    const done = await compose("exec", "backup", "backup", "--upload");
    expect(done.stdout, done.stderr).toMatch(/^s3:\/\/demo\/your-folder\/postgres_\S+\.sql\.gz\s*$/);
    const id = (await compose("ps", "--quiet", "backup")).stdout.trim();
    const log = (await containers.cli(["logs", id])).stderr;
    expect(parseLines(log).some(({ message }) => message.includes("BACKUP_INTERVAL=0 3 * * *"))).toBe(true);
    expect(log).not.toMatch(/demo-password|demo-secret/);
    const format = "{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.State.Health.Status}}";
    expect(await containers.must(["inspect", "--format", format, id])).toBe("10001:10001 true healthy");
    await compose("stop", "backup");
    expect(await containers.must(["inspect", "--format", "{{.State.ExitCode}}", id])).toBe("0");
  });
});
