/** Notices that arrive: chat services, Uptime Kuma, the last good backup, own certificate authorities, proxies. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { selfSigned } from "../support/servers/certificates.ts";
import { startChatServices } from "../support/servers/chat-services.ts";
import { installScripts } from "../support/machine/executables.ts";
import { startHttpServer } from "../support/servers/http.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { startS3Server } from "../support/servers/s3-server.ts";
import { startMailServer } from "../support/servers/smtp.ts";
import { s3Settings } from "../support/servers/storage.ts";

setDefaultTimeout(180_000);
let postgres: PostgresServer;
const s3 = startS3Server();
beforeAll(async () => {
  postgres = await startPostgres(15);
  await postgres.createDatabase("app", "CREATE TABLE greeting AS SELECT 'hello' AS word");
});
afterAll(async () => {
  await postgres.stop();
  await s3.stop();
});

describe("N10: chat services", () => {
  test("each gets the message that it takes, of a failure and of a test", async () => {
    const services = startChatServices();
    const settings = { SITE_NAME: "shop", EMAIL_NOTIFY_MODE: "FAILURE_ONLY", ...services.settings };
    const scripts = installScripts({ ...postgres.settings("nowhere"), ...settings });
    const tested = await scripts.run("help", ["--test-notice"]);
    expect(tested.stdout, tested.stderr).toBe(`${services.names.length} test notices sent; check that they arrived\n`);
    const ran = await scripts.run("backup");
    expect(ran.stderr).not.toContain("the notice was not sent");
    for (const name of services.names) {
      expect(services.shown[name]).toContain("FAILED: shop backup of nowhere\n");
      expect(services.shown[name]).toContain('database "nowhere" does not exist');
      expect(services.shown[name]).toContain("Last good backup: none found");
    }
    for (const address of services.settings.NOTIFY_WEBHOOK_URL.split(" "))
      expect(ran.stderr).not.toContain(new URL(address).pathname);
    await services.server.stop();
  });

  test("Uptime Kuma's push monitor hears of the end, and of no start", async () => {
    // as Uptime Kuma: any other path is its web page
    const kuma = startHttpServer(({ path }) =>
      path.startsWith("/api/push/T0k3n?")
        ? Response.json({ ok: true })
        : new Response("<!DOCTYPE html>", { headers: { "Content-Type": "text/html" } }),
    );
    const HEALTHCHECK_URL = `${kuma.url}/api/push/T0k3n?status=up&msg=OK&ping=`;
    const good = await installScripts({ ...postgres.settings("app"), HEALTHCHECK_URL }).run("backup");
    const bad = await installScripts({ ...postgres.settings("nowhere"), HEALTHCHECK_URL }).run("backup");
    expect(good.stderr + bad.stderr).not.toMatch(/ERROR backup: the notice/);
    const asked = kuma.asked.map(({ method, path }) => [method, new URL(path, "http://x").searchParams] as const);
    expect(asked.map(([method, query]) => [method, query.get("status")])).toEqual([
      ["GET", "up"],
      ["GET", "down"],
    ]);
    expect(asked[1]?.[1].get("msg")).toContain('database "nowhere" does not exist');
    await kuma.stop();
  });

  test("a health check that does not know /start is no error", async () => {
    const health = startHttpServer(({ path }) =>
      path.endsWith("/start") ? new Response("", { status: 404 }) : undefined,
    );
    const ran = await installScripts({ ...postgres.settings("app"), HEALTHCHECK_URL: `${health.url}/uuid` }).run(
      "backup",
    );
    expect(ran.stderr).toContain("does not know a ping of the start");
    expect(ran.stderr).not.toContain("ERROR");
    await health.stop();
  });
});

test("a backup that shrank is a warning: in log, mail, webhook, metrics and health check, with exit status 0", async () => {
  const rows = "SELECT md5(n::text) AS word FROM generate_series(1, 20000) n";
  await postgres.createDatabase("shrinking", `CREATE TABLE t AS ${rows}`);
  const mail = await startMailServer({ security: "none" });
  const web = startHttpServer();
  const scripts = installScripts({
    ...postgres.settings("shrinking"),
    ...mail.settings,
    SITE_NAME: "shop",
    EMAIL_NOTIFY_MODE: "WARNING_AND_FAILURE",
    NOTIFY_WEBHOOK_URL: `${web.url}/hook`,
    HEALTHCHECK_URL: `${web.url}/uuid`,
    METRICS_FILE: "all.prom",
  });
  expect((await scripts.run("backup")).status).toBe(0);
  await postgres.sql("shrinking", "TRUNCATE t");
  const ran = await scripts.run("backup");
  expect(ran.status).toBe(0);
  expect(ran.stderr).toMatch(
    / WARN backup: shrinking looks suspicious: it is \d\d\.\d % smaller than the last backup \(.* it was .*\);/,
  );
  expect(ran.stderr).toMatch(/backup done: .* \(1 warning, see above\)\n/);
  // of the first one there was nothing to say
  const { parsed } = mail.only();
  expect(parsed.subject).toMatch(
    /^WARNING: shop backup of shrinking: shrinking looks suspicious: it is \d\d\.\d % smaller than the last backup/,
  );
  expect(parsed.text).toMatch(/^Status +success, with warnings$/m);
  expect(parsed.text).toMatch(
    /^Warning: shrinking looks suspicious: .*; table public.t has 0 rows \(it had [\d,]+ rows\)/m,
  );
  const hook = web.asked.filter(({ path }) => path === "/hook").map(({ body }) => JSON.parse(body) as object);
  expect(hook).toEqual([expect.objectContaining({ status: "warning", exitStatus: 0, error: null })]);
  expect(web.asked.filter(({ path }) => path === "/uuid").at(-1)?.body).toContain("% smaller than the last backup");
  expect(await Bun.file(join(scripts.dir, "all.prom")).text()).toMatch(
    /last_run_warnings\{.*database="shrinking"\} 1\n/,
  );
  await mail.stop();
  await web.stop();
});

describe("N13: the notice of a failure says when and where the last good backup is", () => {
  test("in the folder, in S3, and when S3 cannot be listed", async () => {
    const mail = await startMailServer({ security: "none" });
    const bucket = await s3.newBucket();
    const settings = { ...mail.settings, EMAIL_NOTIFY_MODE: "FAILURE_ONLY", ...s3Settings(s3, bucket, "x") };
    const scripts = installScripts({ ...postgres.settings("app"), ...settings });
    const told = async (env: Record<string, string>) => {
      expect((await scripts.run("backup", ["--upload"], { env })).status).not.toBe(0);
      return /^Last good backup +(.*)$/m.exec(mail.mails.at(-1)?.parsed.text ?? "")?.[1];
    };
    const broken = { DB_PASSWORD: "wrong" };
    expect(await told(broken)).toBe(`none found; ${scripts.backups}: none; s3://${bucket}/x/: none`);
    expect((await scripts.run("backup", ["--upload"])).status).toBe(0);
    const [name = ""] = scripts.list();
    const when = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC.*, .* ago: /;
    const both = await told(broken);
    expect(both).toMatch(when);
    expect(both).toEndWith(`${join(scripts.backups, name)} and s3://${bucket}/x/${name}`);
    const alone = await told({ S3_SECRET_KEY: "not-this-one" });
    expect(alone).toMatch(/: \/\S+app_\S+\.sql\.gz; s3:\/\/\S+ could not be listed: the secret key/);
    // a damaged one is not good
    expect((await scripts.run("backup")).status).toBe(0);
    const [good = "", damaged = ""] = scripts.list().slice(-2);
    truncateSync(join(scripts.backups, `${damaged}.json`), 100);
    expect(await told(broken)).toContain(`: ${join(scripts.backups, good)}; `);
    await mail.stop();
  });
});

describe("N8: a certificate authority of one's own", () => {
  const certificate = selfSigned();

  test("CA_FILE is trusted by mail, webhook and S3, and AWS_CA_BUNDLE where it is not set", async () => {
    const mail = await startMailServer({ security: "tls", certificate });
    const hook = startHttpServer(undefined, certificate);
    const store = startS3Server({}, { tls: certificate });
    const bucket = await store.newBucket();
    const settings = {
      ...postgres.settings("app"),
      ...mail.settings,
      NOTIFY_WEBHOOK_URL: `${hook.url}/hook`,
      HEALTHCHECK_URL: `${hook.url}/uuid`,
      ...s3Settings(store, bucket, ""),
    };
    const without = await installScripts(settings).run("backup", ["--upload"]);
    expect([without.status, mail.mails.length, hook.asked.length]).toEqual([1, 0, 0]);
    expect(without.stderr).toMatch(/certificate.*\n.*hint: .*CA_FILE/);
    const named = await installScripts({ ...settings, CA_FILE: certificate.file }).run("backup", ["--upload"]);
    expect(named.status, named.stderr).toBe(0);
    expect([mail.mails.length, hook.asked.map(({ path }) => path).toSorted()]).toEqual([
      1,
      ["/hook", "/uuid", "/uuid/start"],
    ]);
    const env = { AWS_CA_BUNDLE: certificate.file };
    const bundle = await installScripts(settings).run("backup", ["--upload"], { env });
    expect(bundle.status, bundle.stderr).toBe(0);
    await Promise.all([mail.stop(), hook.stop(), store.stop()]);
  });

  test("a CA_FILE without a certificate, or that is not there, is refused by its name", async () => {
    const scripts = installScripts(postgres.settings("app"));
    writeFileSync(join(scripts.dir, "empty.pem"), "nothing\n");
    const empty = await scripts.run("backup", [], { env: { CA_FILE: "empty.pem" } });
    expect([empty.status, empty.stderr]).toEqual([
      2,
      expect.stringMatching(/CA_FILE .*empty\.pem: no certificate in it\n.*PEM/),
    ]);
    const absent = await scripts.run("backup", [], { env: { CA_FILE: "absent.pem" } });
    expect([absent.status, absent.stderr]).toEqual([
      2,
      expect.stringMatching(/cannot read CA_FILE .*absent\.pem: no such file/),
    ]);
  });
});

describe("N11: what a proxy answers in the place of the storage is called by its name", () => {
  const page =
    (status: number, text = "<!DOCTYPE html><html>proxy</html>") =>
    () =>
      new Response(text, { status, headers: { "Content-Type": "text/html" } });
  const answers: [string, () => Response, RegExp][] = [
    ["200 and a web page", page(200), /the answer does not come from an S3 server .*\n.*hint: check S3_URL/],
    [
      "200 to everything",
      () => new Response("OK"),
      /the answer does not come from an S3 server .*\n.*hint: check S3_URL/,
    ],
    ["407", page(407), /the proxy wants a login \(status 407\)\n.*hint: .*HTTPS_PROXY/],
    ["413", page(413), /does not accept a request of this size \(status 413\)\n.*hint: .*client_max_body_size/],
    ["302", page(302), /redirects elsewhere \(status 302\)\n.*hint: check S3_URL/],
  ];
  test.each(answers)("%s", async (_, answer, words) => {
    const proxy = startHttpServer(answer);
    const settings = {
      ...postgres.settings("app"),
      ...s3Settings({ url: proxy.url, key: "AKIAPROXY", secret: "the-secret-behind-a-proxy" }, "b"),
    };
    const ran = await installScripts(settings).run("backup", ["--upload"]);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(words);
    expect(ran.stderr).not.toMatch(/Deserialization|another run wrote it|next try/);
    await proxy.stop();
  });

  test("a proxy that refuses a tunnel, for S3, webhook and health check", async () => {
    const proxy = startHttpServer(page(407));
    const settings = {
      ...postgres.settings("app"),
      EMAIL_NOTIFY_MODE: "FAILURE_ONLY",
      ...s3Settings({ url: "https://s3.example.com", key: "AKIAPROXY", secret: "the-secret-behind-a-proxy" }, "b"),
      NOTIFY_WEBHOOK_URL: "https://hooks.example.com/x",
    };
    const ran = await installScripts(settings).run("backup", ["--upload"], { env: { HTTPS_PROXY: proxy.url } });
    expect(ran.stderr).toMatch(/the proxy does not connect us to s3\.example\.com .*407.*\n.*hint: check HTTPS_PROXY/);
    expect(ran.stderr).toMatch(
      /hooks\.example\.com\) cannot be reached: the proxy .* 407.*\n.*hint: the proxy wants a login/,
    );
    await proxy.stop();
  });
});
