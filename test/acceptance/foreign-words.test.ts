/** What comes from others in our messages: names with control characters, answers that hold a secret, lines of Windows. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installScripts, startOnTerminal } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { expectNoSecrets } from "../support/expect/secrets.ts";
import { type MailServer, mailSettings, startMailServer, startTcpServer } from "../support/servers/smtp.ts";
import { tempDir } from "../support/machine/temp.ts";

let server: PostgresServer;
let mail: MailServer;
let scripts: Installation;
let backup: string;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE t AS SELECT 1 AS a");
  mail = await startMailServer({ security: "none" });
  scripts = installScripts(server.settings("app"));
  const made = await scripts.run("backup");
  expectSuccess(made);
  backup = made.stdout.trim();
});
beforeEach(() => {
  mail.mails.splice(0);
  scripts.configure(server.settings("app"));
});
afterAll(async () => {
  await mail.stop();
  await server.stop();
});

describe("S9: control characters in names are shown, not obeyed", () => {
  /** Sets a terminal's title, clears it, turns the text around, and begins a line of the log. */
  const nasty = "dump\u001b]0;owned\u0007\u009b2J\u202egz\n2026-01-01T00:00:00.000Z INFO restore: all is well";
  const shown = String.raw`dump\x1b]0;owned\x07\x9b2J\u202egz`;
  const file = () => {
    const path = join(tempDir("nasty"), `${nasty}.sql.gz`);
    copyFileSync(backup, path);
    return path;
  };
  // eslint-disable-next-line no-control-regex
  const raw = /\u001b\]|\u0007|\u009b|\u202e/;

  test("at a terminal, also in its question", async () => {
    const terminal = startOnTerminal([join(scripts.dir, "restore"), file()]);
    await terminal.sees("Type yes");
    terminal.type("no\n");
    await terminal.exited;
    expect(terminal.shown()).toContain(shown);
    expect(terminal.shown()).not.toMatch(raw);
  });

  test("in the log, in a dry run, in a mail", async () => {
    scripts.configure({ ...server.settings("app"), ...mail.settings });
    const [real, dry] = [await scripts.run("restore", [file()]), await scripts.run("restore", [file(), "--dry-run"])];
    const missing = await scripts.run("restore", [`/no/${nasty}`]);
    for (const text of [
      real.stderr,
      dry.stdout,
      missing.stderr,
      ...mail.mails.map(({ parsed }) => parsed.text ?? ""),
    ]) {
      expect(text).toContain(shown);
      expect(text).not.toMatch(raw);
    }
    for (const text of [real.stderr, dry.stdout, missing.stderr])
      expect(text, "a forged line").not.toMatch(/^2026-01-01T00:00:00.000Z/m);
    expect(mail.mails).toHaveLength(2);
    expect(mail.mails.map(({ raw: source }) => source).join("")).not.toMatch(raw);
  });

  test("a log of JSON is exact for a program and harmless at a terminal", async () => {
    scripts.configure({ ...server.settings("app"), LOG_FORMAT: "json" });
    const { stderr } = await scripts.run("restore", [`/no/${nasty}`]);
    expect(stderr).not.toMatch(raw);
    const messages = stderr
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { message: string }).message);
    expect(messages[0]).toContain(nasty);
  });
});

describe("S10: a mail server that gives the login back leaks nothing", () => {
  const [user, password] = ["backup@example.com", "smtp-pa$$ w%rd/4711"];

  /** Speaks SMTP as far as a login by `method`, and answers that with all it was told. */
  async function startEcho(method: "PLAIN" | "LOGIN") {
    const heard: string[] = [];
    const echo = await startTcpServer((socket) => {
      const say = (line: string) => socket.write(`${line}\r\n`);
      say("220 echo ESMTP");
      socket.on("data", (data) => {
        const line = data.toString().trim();
        heard.push(line);
        if (/^EHLO/i.test(line)) return say(`250-echo\r\n250 AUTH ${method}`);
        if (/^AUTH LOGIN$/i.test(line)) return say("334 VXNlcm5hbWU6");
        if (line === Buffer.from(user).toString("base64")) return say("334 UGFzc3dvcmQ6");
        if (/^QUIT/i.test(line)) return socket.end("221 bye\r\n");
        return say(`535 5.7.8 cannot log in with ${"very ".repeat(20)}wrong words: ${line}`);
      });
    });
    return { ...echo, heard };
  }

  test.each(["PLAIN", "LOGIN"] as const)("AUTH %s: in the log and in a dry run", async (method) => {
    const echo = await startEcho(method);
    const login = { user, password };
    scripts.configure({ ...server.settings("app"), ...mailSettings(echo.port, { security: "none", login }) });
    const [real, dry] = [await scripts.run("backup"), await scripts.run("backup", ["--dry-run"])];
    await echo.stop();
    // the password was sent, and came back
    expect(echo.heard.some((line) => Buffer.from(line.split(" ").at(-1) ?? "", "base64").includes(password))).toBe(
      true,
    );
    for (const text of [real.stderr, dry.stdout]) {
      expect(text).toContain("cannot log in with very");
      expect(text).toContain("***");
    }
    expectNoSecrets(real.stdout + real.stderr + dry.stdout + dry.stderr, [password]);
  });
});

test("N2: a .env.sh with the line ends of Windows: one line with the command that mends it, and the mail goes out", async () => {
  const file = join(scripts.dir, ".env.sh");
  scripts.configure({ ...server.settings("app"), ...mail.settings });
  writeFileSync(file, readFileSync(file, "utf8").replaceAll("\n", "\r\n"));
  const { status, stdout, stderr } = await scripts.run("backup");
  expect([status, stdout]).toEqual([2, ""]);
  const command = `sed -i 's/\\r$//' ${file}`;
  expect(stderr.split("\n").filter((line) => line.includes("Windows"))).toHaveLength(1);
  expect(stderr).toContain(`run: ${command}`);
  expect(stderr).not.toMatch(/missing|no such setting/);
  expect(mail.only().parsed.text).toContain(command);
  expect(Bun.spawnSync(["sh", "-c", command]).exitCode).toBe(0);
  expectSuccess(await scripts.run("backup"));
});

test("S10: a webhook's server that gives its address back, as a whole or in pieces, leaks nothing of it", async () => {
  const path = "/services/T0001111/B1112222/XyZ123abc456";
  const echo = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request) {
      const { pathname, search } = new URL(request.url);
      const words = [encodeURIComponent(pathname), btoa(request.url), pathname.split("/").at(-1), search];
      return new Response(`bad: ${words.join(" ")}`, { status: 400 });
    },
  });
  const address = `http://127.0.0.1:${echo.port}`;
  scripts.configure({
    ...server.settings("app"),
    EMAIL_NOTIFY_MODE: "SUCCESS_AND_FAILURE",
    NOTIFY_WEBHOOK_URL: `${address}${path}?token=abcdefgh12`,
    HEALTHCHECK_URL: `${address}/0b1c2d3e-uuid`,
  });
  const { stderr } = await scripts.run("backup");
  await echo.stop(true);
  expect(stderr).toContain("answered 400: bad: ***");
  expectNoSecrets(stderr, [path, "T0001111", "XyZ123abc456", "abcdefgh12", "0b1c2d3e-uuid"]);
});
