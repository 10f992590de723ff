/** Shell requirement 4, and what surrounds it: mail, webhook and health check of the built executables. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { selfSigned } from "../support/servers/certificates.ts";
import { type Installation, installScripts, startOnTerminal, startProgram } from "../support/machine/executables.ts";
import { type Asked, type HttpServer, startHttpServer } from "../support/servers/http.ts";
import { freePort, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { expectNoSecrets } from "../support/expect/secrets.ts";
import {
  type MailServer,
  type MailServerOptions,
  mailSettings,
  startMailServer,
  startTcpServer,
} from "../support/servers/smtp.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";
import { testWhere } from "../support/machine/where.ts";
import { withDisk } from "../support/machine/small-disk.ts";

setDefaultTimeout(180_000);
const certificate = selfSigned();
let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await startPostgres(15);
  await postgres.createDatabase("app", "CREATE TABLE greeting AS SELECT 'hello' AS word");
});
const started: { stop(): Promise<void> }[] = [];
afterAll(async () => {
  await Promise.all([postgres, ...started].map((server) => server.stop()));
});
const later = <T extends { stop(): Promise<void> }>(server: T): T => {
  started.push(server);
  return server;
};
const mailServer = async (options: MailServerOptions = { security: "none" }) => later(await startMailServer(options));
const httpServer = (answer?: (asked: Asked, nth: number) => Response | undefined) => later(startHttpServer(answer));

/** Scripts that back up `database` and tell this mail server of it. */
function install(mail: MailServer, settings: Record<string, string> = {}, database = "app"): Installation {
  return installScripts({ SITE_NAME: "shop", ...postgres.settings(database), ...mail.settings, ...settings });
}
const noSuchDatabase = "nowhere";

/** Mounts and networks of one's own are for root. */
const asRoot = testWhere(process.getuid?.() === 0, "root");

describe("shell 4.1–4.3 the mode decides about mail", () => {
  test.each([
    ["4.1", "SUCCESS_AND_FAILURE", "app", ["OK: shop backup of app"]],
    ["4.1", "SUCCESS_AND_FAILURE", noSuchDatabase, ["FAILED: shop backup of nowhere"]],
    ["4.2", "FAILURE_ONLY", "app", []],
    ["4.2", "FAILURE_ONLY", noSuchDatabase, ["FAILED: shop backup of nowhere"]],
    ["4.3", "NEVER", "app", []],
    ["4.3", "NEVER", noSuchDatabase, []],
  ])("shell %s %s: a backup of %s leads to %j", async (_, mode, database, subjects) => {
    const mail = await mailServer();
    const ran = await install(mail, { EMAIL_NOTIFY_MODE: mode }, database).run("backup");
    expect(ran.status, ran.stderr).toBe(database === "app" ? 0 : 1);
    expect(mail.mails.map(({ parsed }) => parsed.subject ?? "")).toEqual(subjects);
  });

  test("shell 4.1 restore and sync tell of themselves too", async () => {
    const mail = await mailServer();
    const scripts = install(mail);
    expect((await scripts.run("restore", ["no-such-file.sql.gz"])).status).toBe(4);
    expect((await scripts.run("sync")).status).toBe(2);
    expect((await scripts.run("backup")).status).toBe(0);
    expect((await scripts.run("restore", ["--yes"])).status).toBe(0);
    expect(mail.mails.map(({ parsed }) => parsed.subject)).toEqual([
      expect.stringMatching(/^FAILED: shop restore/),
      "FAILED: shop sync",
      "OK: shop backup of app",
      "OK: shop restore of app",
    ]);
  });

  test("a dry run and a question for help tell nobody", async () => {
    const mail = await mailServer();
    const health = httpServer();
    const scripts = install(mail, { HEALTHCHECK_URL: `${health.url}/uuid` });
    await scripts.run("backup", ["--dry-run"]);
    await scripts.run("backup", ["--help"]);
    await scripts.run("backup", ["--version"]);
    expect(mail.mails).toEqual([]);
    // the dry run looks whether that server answers, and pings nothing
    expect(health.asked.map(({ method, path }) => `${method} ${path}`)).toEqual(["OPTIONS /"]);
  });
});

describe("shell 4.4 a mail tells", () => {
  test("of a success: script, status, times, database, file, size and where it lies", async () => {
    const mail = await mailServer();
    const scripts = install(mail, { BACKUP_TIMEZONE: "Asia/Kolkata" });
    const path = (await scripts.run("backup")).stdout.trim();
    const { from, to, parsed } = mail.only();
    expect({ from, to }).toEqual({ from: "backup@example.com", to: ["admin@example.com", "oncall@example.com"] });
    expect(parsed.text).toMatch(/^OK: shop backup of app$/m);
    expect(parsed.text).toMatch(/^Status +success$/m);
    expect(parsed.text).toMatch(/^Script +backup$/m);
    expect(parsed.text).toMatch(/^Started +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(.* Asia\/Kolkata\)$/m);
    expect(parsed.text).toMatch(/^Ended +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/m);
    expect(parsed.text).toMatch(/^Duration +\d/m);
    expect(parsed.text).toMatch(/^Size +[\d.]+ k?B$/m);
    expect(parsed.text).toContain(path);
    expect(String(parsed.html)).toContain(path);
    expect(parsed.text).not.toContain("Last lines of the log");
    expect(parsed.headers.get("auto-submitted")).toBe("auto-generated");
  });

  test("of a second success: the change of size against the last good one", async () => {
    const mail = await mailServer();
    const scripts = install(mail);
    await scripts.run("backup");
    await scripts.run("backup");
    expect(mail.mails[1]?.parsed.text).toMatch(/^Size .*, previous backup [\d.]+ (Ki)?B\)$/m);
  });

  test("of a failure: the error, what to do, and the last lines of the log", async () => {
    const mail = await mailServer();
    const { stderr } = await install(mail, {}, noSuchDatabase).run("backup");
    const text = mail.only().parsed.text ?? "";
    expect(text).toMatch(/^Status +failure \(exit status 1\)$/m);
    expect(text).toMatch(/database "nowhere" does not exist/);
    expect(text).toMatch(/^What to do: \S/m);
    const [, log = ""] = text.split("Last lines of the log:\n");
    const [before = ""] = stderr.split(/^.*mail sent to/m);
    expect(before).toMatch(/ERROR backup: hint: /);
    expect(log.startsWith(before)).toBe(true);
  });

  test("nothing that a setting smuggles into its headers", async () => {
    const mail = await mailServer();
    const env = { SITE_NAME: "shop\r\nBcc: thief@example.com\r\n\r\n<script>" };
    await installScripts({ ...postgres.settings("app"), ...mail.settings }).run("backup", [], { env });
    const { parsed, to } = mail.only();
    expect(parsed.subject).toBe("OK: shop Bcc: thief@example.com <script> backup of app");
    expect([to.length, parsed.bcc]).toEqual([2, undefined]);
    expect(String(parsed.html)).not.toContain("<script>");
  });

  test.each(["starttls", "tls"] as const)(
    "it through %s with a login, to a certificate made known",
    async (security) => {
      const login = { user: "back up@example.com", password: `p@$$ "w'rd" <&> ${crypto.randomUUID()}` };
      const mail = await mailServer({ security, certificate, login });
      const secret = join(tempDir("secret"), "smtp-password");
      writeFileSync(secret, `${login.password}\n`, { mode: 0o600 });
      const { SMTP_PASSWORD: _, ...settings } = mail.settings;
      const scripts = installScripts({ ...postgres.settings("app"), ...settings, SMTP_PASSWORD_FILE: secret });
      const ran = await scripts.run("backup", [], { env: { NODE_EXTRA_CA_CERTS: certificate.file } });
      expect(ran.stderr).toContain(`mail sent to admin@example.com, oncall@example.com by 127.0.0.1:${mail.port}`);
      expect(mail.only()).toMatchObject({ secure: true, user: login.user });
      expectNoSecrets(ran.stderr + ran.stdout, [login.password]);
    },
  );
});

// side by side, for two of them wait for 10 s
describe.concurrent("shell 4.5 a mail server that fails changes nothing but the log:", () => {
  const cases: [string, () => Promise<Record<string, string>>, RegExp][] = [
    ["down", async () => mailSettings(freePort(), { security: "none" }), /connection refused\n.*hint: check SMTP_/],
    [
      "refuses the login",
      async () => ({
        ...(await mailServer({ security: "none", login: { user: "me", password: "right-password" } })).settings,
        SMTP_PASSWORD: "wrong-password",
      }),
      /refused the login of me: 535 .*\n.*hint: check SMTP_USER and SMTP_PASSWORD/,
    ],
    [
      "hangs before its greeting",
      async () => mailSettings(later(await startTcpServer(() => {})).port, { security: "none" }),
      /said nothing\n.*hint: .*SMTP_SECURITY=tls/,
    ],
    [
      "hangs in mid-dialogue",
      async () => (await mailServer({ security: "none", hangs: true })).settings,
      /(stopped answering|took longer than 12 s)\n.*hint: /,
    ],
    [
      "speaks garbage",
      async () =>
        mailSettings(later(await startTcpServer((socket) => void socket.end("\u0007<html>\r\n"))).port, {
          security: "none",
        }),
      /does not speak SMTP: \\x07<html>\n.*hint: check SMTP_HOST and SMTP_PORT/,
    ],
    [
      "lacks STARTTLS",
      async () => ({ ...(await mailServer()).settings, SMTP_SECURITY: "starttls" }),
      /does not offer STARTTLS.*\n.*hint: .*SMTP_SECURITY/,
    ],
    [
      "has an unknown certificate",
      async () => (await mailServer({ security: "tls", certificate })).settings,
      /certificate that is not trusted.*\n.*hint: .*CA_FILE/,
    ],
  ];
  test.each(cases)("shell 4.5 one that %s", async (_, settings, words) => {
    const given = await settings();
    const scripts = installScripts({ ...postgres.settings("app"), ...given });
    const failing = installScripts({ ...postgres.settings(noSuchDatabase), ...given });
    const [good, bad] = await Promise.all([scripts.run("backup"), failing.run("backup")]);
    expect(good.stderr).toMatch(words);
    expect(bad.stderr).toMatch(words);
    expect([good.status, bad.status]).toEqual([0, 1]);
    expect(good.stdout.trim()).toBe(join(scripts.backups, scripts.list()[0] ?? ""));
    expect(good.stderr).not.toContain("wrong-password");
  });
});

/** Keeps every dump of the database waiting; the returned function lets them go on. */
async function blockDumps(): Promise<() => Promise<void>> {
  const holders = "FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'greeting'::regclass";
  const held = postgres.sql("app", "BEGIN; LOCK TABLE greeting; SELECT pg_sleep(600)").catch(() => {});
  await until("the table is locked", () => postgres.sql("app", `SELECT pid ${holders}`));
  return async () => {
    await postgres.sql("app", `SELECT pg_terminate_backend(pid) ${holders}`);
    await held;
  };
}
const dumping = () =>
  until("a backup waits for the table", () =>
    postgres.sql("app", "SELECT 1 FROM pg_stat_activity WHERE datname = 'app' AND wait_event_type = 'Lock'"),
  );

describe("it reports its own misery:", () => {
  const miseries: [string, Record<string, string | undefined>, number, RegExp][] = [
    ["no database", { DB_NAME: undefined }, 2, /missing: .*DB_NAME/],
    [
      "a broken other setting",
      { BACKUP_COMPRESSION: "zip" },
      2,
      /BACKUP_COMPRESSION .*must be one of gzip, zstd, none/,
    ],
    ["a misspelt setting", { S3_BUKCET: "x" }, 2, /S3_BUKCET .*did you mean S3_BUCKET\?/],
    ["an unreadable secret file", { DB_PASSWORD: undefined, DB_PASSWORD_FILE: "/no/such" }, 2, /DB_PASSWORD_FILE/],
    ["a BACKUP_DIR that cannot be", { BACKUP_DIR: "/dev/null/backups" }, 1, /\/dev\/null\/backups/],
    ["a mode that does not exist", { EMAIL_NOTIFY_MODE: "ALWAYS" }, 2, /EMAIL_NOTIFY_MODE .*must be one of SUCCESS/],
  ];
  test.each(miseries)("%s", async (_, change, status, words) => {
    const mail = await mailServer();
    const all = { SITE_NAME: "shop", ...postgres.settings("app"), ...mail.settings, ...change };
    const settings = Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => !!entry[1]));
    const ran = await installScripts(settings).run("backup");
    expect(ran.status, ran.stderr).toBe(status);
    const { parsed } = mail.only();
    expect(parsed.subject).toMatch(/^FAILED: shop backup/);
    expect(parsed.text).toMatch(words);
  });

  test("a wrong command line, by every way and in the format of the log that is set", async () => {
    const mail = await mailServer();
    const http = httpServer();
    const urls = { NOTIFY_WEBHOOK_URL: `${http.url}/hook`, HEALTHCHECK_URL: `${http.url}/uuid` };
    const ran = await install(mail, { ...urls, LOG_FORMAT: "json" }).run("backup", ["--uplod"]);
    expect(ran.status).toBe(2);
    expect(JSON.parse(ran.stderr.split("\n")[1] ?? "")).toMatchObject({ message: "unknown argument: --uplod" });
    expect(mail.only().parsed.subject).toBe("FAILED: shop backup");
    expect(mail.only().parsed.text).toMatch(/unknown argument: --uplod/);
    expect(http.asked.map(({ path }) => path).toSorted()).toEqual(["/hook", "/uuid/fail", "/uuid/start"]);
  });

  test("but not to who sits at the terminal and mistypes, or asks for a dry run", async () => {
    const mail = await mailServer();
    const scripts = install(mail);
    const terminal = startOnTerminal([join(scripts.dir, "backup"), "--uplod"]);
    expect(await terminal.exited).toBe(2);
    expect(terminal.shown()).toContain("unknown argument: --uplod");
    expect((await scripts.run("backup", ["--dry-run", "--uplod"])).status).toBe(2);
    expect(mail.mails).toEqual([]);
  });

  test.each([
    ["no", "n\n", 1],
    ["Ctrl-C", "\u0003", 130],
  ])(
    "nor of a restore that was declined by %s: no failure, but an end of what was started",
    async (_, typed, status) => {
      const mail = await mailServer();
      const health = httpServer();
      const scripts = install(mail, { HEALTHCHECK_URL: `${health.url}/uuid` });
      expect((await scripts.run("backup")).status).toBe(0);
      const terminal = startOnTerminal([join(scripts.dir, "restore")]);
      await terminal.sees("Type yes");
      terminal.type(typed);
      expect(await terminal.exited).toBe(status);
      expect(mail.only().parsed.subject).toBe("OK: shop backup of app");
      expect(health.asked.map(({ path }) => path)).toEqual(["/uuid/start", "/uuid", "/uuid/start", "/uuid"]);
    },
  );

  test("in the log alone when an address is wrong, which does not call it unset", async () => {
    const mail = await mailServer();
    const { status, stderr } = await install(mail, { EMAIL_TO: "admin" }).run("backup");
    expect(status).toBe(2);
    expect(stderr).toMatch(/EMAIL_TO \(.*\): must be mail addresses/);
    expect(stderr).toContain("the mail settings are incomplete: EMAIL_TO not set, or not valid\n");
  });

  test("a line of .env.sh that is refused", async () => {
    const mail = await mailServer();
    const scripts = install(mail);
    const file = join(scripts.dir, ".env.sh");
    writeFileSync(file, `${await Bun.file(file).text()}S3_BUCKET=$(whoami)\n`, { mode: 0o600 });
    expect((await scripts.run("backup")).status).toBe(2);
    expect(mail.only().parsed.text).toMatch(/S3_BUCKET/);
  });

  test("no settings file, but mail settings in the environment", async () => {
    const mail = await mailServer();
    const env = { ...mail.settings, BACKUP_ENV_FILE: "/no/such/file" };
    expect((await installScripts().run("backup", [], { env })).status).toBe(2);
    expect(mail.only().parsed.text).toMatch(/\/no\/such\/file/);
  });

  asRoot("a full disk", async () => {
    const mail = await mailServer();
    const scripts = install(mail, { BACKUP_COMPRESSION: "none" });
    mkdirSync(scripts.backups, { mode: 0o700 });
    await postgres.createDatabase(
      "large",
      "CREATE TABLE t AS SELECT repeat(md5(i::text), 30) FROM generate_series(1, 1000) i",
    );
    await withDisk("size=64k", scripts.backups, async () => {
      expect((await scripts.run("backup", [], { env: { DB_NAME: "large" } })).status).toBe(1);
    });
    expect(mail.only().parsed.text).toMatch(/no space left|disk is full/i);
  });

  asRoot("DNS servers that do not answer, and a mail server that /etc/hosts names", async () => {
    const mail = await mailServer();
    const silent = await Bun.udpSocket({ hostname: "127.77.0.53", port: 53 });
    const dir = tempDir("dns");
    writeFileSync(join(dir, "hosts"), "127.0.0.1 localhost mail.internal\n");
    writeFileSync(join(dir, "resolv.conf"), "nameserver 127.77.0.53\n");
    const scripts = install(mail, { SMTP_HOST: "mail.internal" }, noSuchDatabase);
    const mounts = ["hosts", "resolv.conf"].map((name) => `mount --bind ${dir}/${name} /etc/${name}`).join(" && ");
    const argv = ["unshare", "--mount", "sh", "-c", `${mounts} && exec "$0"`, join(scripts.dir, "backup")];
    const ran = await startProgram(argv).done;
    silent.close();
    expect(ran.status, ran.stderr).toBe(1);
    expect(mail.only().parsed.subject).toBe("FAILED: shop backup of nowhere");
  });

  test("death by SIGTERM", async () => {
    const mail = await mailServer();
    const health = httpServer();
    const letGo = await blockDumps();
    const running = install(mail, { HEALTHCHECK_URL: `${health.url}/uuid` }).start("backup");
    await dumping();
    running.kill("SIGTERM");
    expect((await running.done).status).toBe(143);
    await letGo();
    expect(mail.only().parsed.text).toMatch(/^stopped by SIGTERM$/m);
    expect(health.asked.map(({ path }) => path)).toEqual(["/uuid/start", "/uuid/fail"]);
  });

  test.each([
    ["FAILURE_ONLY", 1],
    ["NEVER", 0],
  ])("a second run that finds the lock held, %s: %d mail", async (mode, count) => {
    const mail = await mailServer();
    const letGo = await blockDumps();
    const scripts = install(mail, { EMAIL_NOTIFY_MODE: mode });
    const first = scripts.start("backup");
    await dumping();
    const second = await scripts.run("backup");
    expect(second.status).toBe(5);
    expect(mail.mails).toHaveLength(count);
    for (const { parsed } of mail.mails) expect(parsed.text).toMatch(/^Status +failure \(exit status 5\)$/m);
    await letGo();
    expect((await first.done).status).toBe(0);
    expect(mail.mails).toHaveLength(count);
  });
});

describe("the webhook", () => {
  test.each([
    ["SUCCESS_AND_FAILURE", "app", ["success"]],
    ["SUCCESS_AND_FAILURE", noSuchDatabase, ["failure"]],
    ["FAILURE_ONLY", "app", []],
    ["FAILURE_ONLY", noSuchDatabase, ["failure"]],
    ["NEVER", noSuchDatabase, []],
  ])("obeys %s: a backup of %s leads to %j", async (mode, database, statuses) => {
    const hook = httpServer();
    const token = `/T0KEN-${crypto.randomUUID()}`;
    const settings = { EMAIL_NOTIFY_MODE: mode, NOTIFY_WEBHOOK_URL: `${hook.url}${token}?channel=ops` };
    const ran = await installScripts({ ...postgres.settings(database), ...settings }).run("backup");
    const posts = hook.asked.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
    expect(posts.map(({ status }) => status)).toEqual(statuses);
    expect(ran.stderr).not.toMatch(/mail/);
    expect(ran.stderr.includes("nothing is posted: it obeys EMAIL_NOTIFY_MODE")).toBe(mode === "NEVER");
    expectNoSecrets(ran.stderr, [token]);
    for (const { method, path, headers } of hook.asked)
      expect([method, path, headers.get("content-type")]).toEqual(["POST", `${token}?channel=ops`, "application/json"]);
  });

  test("receives the outcome as JSON of a stable shape", async () => {
    const hook = httpServer();
    const settings = {
      SITE_NAME: "shop",
      EMAIL_NOTIFY_MODE: "SUCCESS_AND_FAILURE",
      NOTIFY_WEBHOOK_URL: `${hook.url}/hook`,
    };
    const scripts = installScripts({ ...postgres.settings("app"), ...settings });
    const path = (await scripts.run("backup")).stdout.trim();
    const post = JSON.parse(hook.asked[0]?.body ?? "") as Record<string, unknown>;
    expect(post).toMatchObject({
      format: 1,
      test: false,
      status: "success",
      exitStatus: 0,
      script: "backup",
      site: "shop",
      database: "app",
      file: scripts.list()[0],
      bytes: Bun.file(path).size,
      localPath: path,
      remoteLocation: null,
      error: null,
    });
    expect(Date.parse(String(post.endedAt))).toBeGreaterThanOrEqual(Date.parse(String(post.startedAt)));
  });

  test("that fails changes nothing but the log, and the mail goes out all the same", async () => {
    const mail = await mailServer();
    const hook = httpServer(() => new Response("no such hook", { status: 404 }));
    const ran = await install(mail, { NOTIFY_WEBHOOK_URL: `${hook.url}/hook` }).run("backup");
    expect(ran.status).toBe(0);
    expect(ran.stderr).toMatch(/NOTIFY_WEBHOOK_URL .*answered 404: no such hook\n.*hint: check NOTIFY_WEBHOOK_URL/);
    expect(mail.mails).toHaveLength(1);
  });
});

const pinged = (health: HttpServer) => health.asked.map(({ path }) => path);

describe("the health check", () => {
  test("is pinged at the start and on success", async () => {
    const health = httpServer();
    const settings = { ...postgres.settings("app"), HEALTHCHECK_URL: `${health.url}/uuid?create=1` };
    const ran = await installScripts(settings).run("backup");
    expect(pinged(health)).toEqual(["/uuid/start?create=1", "/uuid?create=1"]);
    expect(ran.stderr).not.toContain("create=1");
  });

  test("is pinged at /fail with the error as the message, whatever the mode of mails", async () => {
    const health = httpServer();
    const settings = { ...postgres.settings(noSuchDatabase), HEALTHCHECK_URL: `${health.url}/uuid/` };
    await installScripts(settings).run("backup");
    expect(pinged(health)).toEqual(["/uuid/start", "/uuid/fail"]);
    expect(health.asked[1]?.body).toMatch(/database "nowhere" does not exist/);
  });

  test("is asked again after a short outage", async () => {
    const health = httpServer(({ path }, nth) => (nth === 2 ? new Response(path, { status: 503 }) : undefined));
    await installScripts({ ...postgres.settings("app"), HEALTHCHECK_URL: `${health.url}/uuid` }).run("backup");
    expect(pinged(health)).toEqual(["/uuid/start", "/uuid", "/uuid"]);
  });

  test("that is down does not fail the job", async () => {
    const HEALTHCHECK_URL = `http://127.0.0.1:${freePort()}/uuid`;
    const ran = await installScripts({ ...postgres.settings("app"), HEALTHCHECK_URL }).run("backup");
    expect(ran.status).toBe(0);
    expect(ran.stderr).toMatch(/HEALTHCHECK_URL .*connection refused\n.*hint: /);
  });
});

describe("help --test-notice", () => {
  test("sends a marked message by every way that is set, whatever the mode, and says what happened", async () => {
    const mail = await mailServer();
    const web = httpServer();
    const urls = { NOTIFY_WEBHOOK_URL: `${web.url}/hook`, HEALTHCHECK_URL: `${web.url}/uuid` };
    const settings = { SITE_NAME: "shop", ...mail.settings, ...urls, EMAIL_NOTIFY_MODE: "NEVER" };
    const ran = await installScripts(settings).run("help", ["--test-notice"]);
    expect([ran.status, ran.stdout]).toEqual([0, "3 test notices sent; check that they arrived\n"]);
    expect(ran.stderr).toContain("mail sent to admin@example.com, oncall@example.com");
    expect(ran.stderr).toContain("EMAIL_NOTIFY_MODE is NEVER");
    expect(mail.only().parsed.subject).toBe("TEST: notice from shop");
    expect(mail.only().parsed.text).toContain("This is a test notice. No job ran, no backup was made.");
    // a ping of success would tell the dead man's switch that a backup was made
    expect(web.asked.map(({ path }) => path).toSorted()).toEqual(["/hook", "/uuid/log"]);
    const hooked = web.asked.find(({ path }) => path === "/hook");
    expect(JSON.parse(hooked?.body ?? "")).toMatchObject({ format: 1, test: true, status: "success" });
  });

  test("fails with cause and hint when one way does not work", async () => {
    const mail = await mailServer();
    const settings = { ...mail.settings, HEALTHCHECK_URL: `http://127.0.0.1:${freePort()}/uuid` };
    const ran = await installScripts(settings).run("help", ["--test-notice"]);
    expect([ran.status, ran.stdout]).toEqual([1, ""]);
    expect(ran.stderr).toMatch(/HEALTHCHECK_URL .*connection refused\n.*hint: /);
    expect(ran.stderr).toContain("1 of 2 test notices could not be sent");
    expect(mail.mails).toHaveLength(1);
  });

  const nothingToTry: [Record<string, string>, RegExp][] = [
    [
      {},
      /no notice is configured\n.*hint: set SMTP_HOST, EMAIL_FROM and EMAIL_TO for mail, NOTIFY_WEBHOOK_URL, or HEALTH/,
    ],
    [
      { EMAIL_NOTIFY_MODE: "ALWAYS" },
      /EMAIL_NOTIFY_MODE .*must be one of SUCCESS_AND_FAILURE, WARNING_AND_FAILURE, FAILURE_ONLY, NEVER/,
    ],
  ];
  test.each(nothingToTry)("with %j says what to set", async (settings, words) => {
    const ran = await installScripts(settings).run("help", ["--test-notice"]);
    expect([ran.status, ran.stdout]).toEqual([2, ""]);
    expect(ran.stderr).toMatch(words);
  });

  test("tells what is missing for mail", async () => {
    const ran = await installScripts({ SMTP_HOST: "127.0.0.1" }).run("help", ["--test-notice"]);
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(
      /mail settings are incomplete: EMAIL_FROM, EMAIL_TO not set, or not valid\n.*hint: set EMAIL_FROM, EMAIL_TO/,
    );
  });
});
