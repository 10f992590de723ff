/** What mail servers, webhooks and health checks do wrong, and what a person is told of it. */
import { afterAll, describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { Failure } from "../../scripts-src/base/errors.ts";
import { configureLog } from "../../scripts-src/base/log.ts";
import { hideSecrets } from "../../scripts-src/base/secrets.ts";
import { ping } from "../../scripts-src/notify/healthcheck.ts";
import { post } from "../../scripts-src/notify/http.ts";
import { sendMail } from "../../scripts-src/notify/mail.ts";
import { notify } from "../../scripts-src/notify/notify.ts";
import type { Outcome } from "../../scripts-src/notify/outcome.ts";
import type { Undelivered } from "../../scripts-src/notify/undelivered.ts";
import { settingsFrom } from "../../scripts-src/settings/settings.ts";
import { selfSigned } from "../support/servers/certificates.ts";
import { type Asked, type HttpServer, startHttpServer } from "../support/servers/http.ts";
import { freePort } from "../support/servers/postgres.ts";
import { expectNoSecrets } from "../support/expect/secrets.ts";
import {
  mailSettings,
  type MailServerOptions,
  startBlackHole,
  startMailServer,
  startTcpServer,
  type TestServer,
} from "../support/servers/smtp.ts";

const message = { subject: "subject", text: "text", html: "<p>text</p>" };
/** In ms: long enough for a busy machine, and short for servers that never answer. */
const patience = { usual: 20_000, short: 4_000 };
const certificate = selfSigned();
const login = { user: "backup@example.com", password: "pa$$ w@rd#%/:'\"" };

const started: { stop(): Promise<void> }[] = [];
const stopLater = <T extends { stop(): Promise<void> }>(server: T): T => {
  started.push(server);
  return server;
};
afterAll(async () => {
  await Promise.all(started.map((server) => server.stop()));
});

/** What a person is told: the failure's message, then its hints. */
async function told(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => "nothing failed",
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Failure)) throw error;
  return [error.message, ...error.hints].join("\n");
}

const send = (settings: Record<string, string>, time = patience.usual) =>
  sendMail(message, settingsFrom(settings), time);

async function toServer(options: MailServerOptions, settings: Record<string, string> = {}, time?: number) {
  const server = stopLater(await startMailServer(options));
  return { server, sent: send({ ...server.settings, ...settings }, time) };
}

async function toTcp(
  meet: (socket: Socket) => void,
  { security, time }: { security?: MailServerOptions["security"]; time?: number } = {},
) {
  const server: TestServer = stopLater(await startTcpServer(meet));
  return told(send(mailSettings(server.port, { security: security ?? "none" }), time));
}

describe.concurrent("a mail server that", () => {
  test("is down", async () => {
    expect(await told(send(mailSettings(freePort(), { security: "none" })))).toMatch(
      /^the mail server 127\.0\.0\.1:\d+ cannot be reached: connection refused\ncheck SMTP_HOST and SMTP_PORT/,
    );
  });

  test("has no such name", async () => {
    const settings = { ...mailSettings(25, { security: "none" }), SMTP_HOST: "no-such-host.invalid" };
    expect(await told(send(settings))).toMatch(/cannot be found: its name does not resolve\ncheck SMTP_HOST/);
  });

  test("refuses the login", async () => {
    const { sent, server } = await toServer({ security: "none", login }, { SMTP_PASSWORD: "wrong-password" });
    const words = await told(sent);
    expect(words).toMatch(/refused the login of backup@example\.com: 535 .*\ncheck SMTP_USER and SMTP_PASSWORD/);
    expect(words).not.toContain("wrong-password");
    expect(server.mails).toEqual([]);
  });

  test("wants a login that is not set", async () => {
    const { sent } = await toServer({ security: "none", login }, { SMTP_USER: "", SMTP_PASSWORD: "" });
    expect(await told(sent)).toMatch(/wants (encryption or )?a login: 530 .*\nset SMTP_.*SMTP_USER and SMTP_PASSWORD/);
  });

  test("is behind a firewall that swallows every packet", async () => {
    const { port } = stopLater(await startBlackHole());
    expect(await told(send(mailSettings(port, { security: "none" }), patience.short))).toMatch(
      /did not answer\ncheck SMTP_HOST and SMTP_PORT; a firewall/,
    );
  });

  test("hangs before the greeting", async () => {
    expect(await toTcp(() => {}, { time: patience.short })).toMatch(
      /accepted the connection, but said nothing\n.*SMTP_SECURITY=tls/,
    );
  });

  test("hangs in the TLS handshake", async () => {
    expect(await toTcp(() => {}, { security: "tls", time: patience.short })).toMatch(
      /does not answer in the TLS handshake\ncheck SMTP_PORT/,
    );
  });

  test("hangs in mid-dialogue", async () => {
    const { sent } = await toServer({ security: "none", hangs: true }, {}, patience.short);
    expect(await told(sent)).toMatch(/stopped answering\nlook into the mail server's log/);
  });

  test.each([
    ["the greeting", "", /said nothing\n/],
    // on a busy machine greeting and first ability arrive as one, which nodemailer takes for a greeting without end
    ["its abilities", "220 hello\r\n", /took longer than 4 s\n|said nothing\n/],
  ])("never ends %s", async (_, beginning, words) => {
    const answerForEver = (socket: Socket) => {
      const line = beginning ? "250-x\r\n" : "220-x\r\n";
      socket.write(beginning);
      const timer = setInterval(() => socket.write(line), 50);
      socket.on("close", () => clearInterval(timer));
    };
    expect(await toTcp(answerForEver, { time: patience.short })).toMatch(words);
  });

  test.each([
    ["garbage lines", Buffer.from("\u0000\u001b[31mHTTP/1.1 400 Bad Request\r\n\r\n")],
    ["binary bytes", Buffer.from([0xff, 0xfd, 0x01, 0x0a, 0x0d, 0x00, 0x0a])],
  ])("speaks %s", async (_, bytes) => {
    const words = await toTcp((socket) => void socket.write(bytes));
    expect(words).toMatch(/does not speak SMTP: .*\ncheck SMTP_HOST and SMTP_PORT/);
    // eslint-disable-next-line no-control-regex
    expect(words).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  test.each([
    ["at once", (socket: Socket) => void socket.end()],
    ["after the greeting", (socket: Socket) => void socket.write("220 hello\r\n", () => socket.end())],
    ["by a reset", (socket: Socket) => void socket.resetAndDestroy()],
  ])("drops the connection %s", async (_, drop) => {
    expect(await toTcp(drop)).toMatch(/closed the connection\nlook into the mail server's log/);
  });

  test("is too busy", async () => {
    expect(await toTcp((socket) => void socket.end("421 too many connections\r\n"))).toMatch(
      /421 too many connections/,
    );
  });

  test("lacks STARTTLS gets no mail in the clear", async () => {
    const { sent, server } = await toServer({ security: "none" }, { SMTP_SECURITY: "starttls" });
    expect(await told(sent)).toMatch(/does not offer STARTTLS: 500 .*\nuse SMTP_SECURITY=tls/);
    expect(server.mails).toEqual([]);
  });

  test("speaks plainly where TLS is expected", async () => {
    const { sent } = await toServer({ security: "none" }, { SMTP_SECURITY: "tls" });
    expect(await told(sent)).toMatch(/does not speak TLS from the first byte\nset SMTP_SECURITY=starttls/);
  });

  test("expects TLS where we speak plainly", async () => {
    const { sent } = await toServer({ security: "tls", certificate }, { SMTP_SECURITY: "starttls" }, patience.short);
    expect(await told(sent)).toMatch(/said nothing\n.*SMTP_SECURITY=tls/);
  });

  test.each(["starttls", "tls"] as const)("has a self-signed certificate, %s", async (security) => {
    const { sent, server } = await toServer({ security, certificate });
    const words = await told(sent);
    expect(words).toMatch(/certificate that is not trusted: self.signed certificate\n.*CA_FILE/);
    expect(words).toContain("the mail server is on this machine");
    expect(server.mails).toEqual([]);
  });

  test("refuses the sender", async () => {
    const { sent } = await toServer({ security: "none", refuse: ["backup@example.com"] });
    expect(await told(sent)).toMatch(/refused the sender: 550 backup@example\.com is not welcome\ncheck EMAIL_FROM/);
  });

  test("refuses every recipient", async () => {
    const { sent } = await toServer({ security: "none", refuse: ["admin@example.com", "oncall@example.com"] });
    expect(await told(sent)).toMatch(/refused every recipient: 550 .* is not welcome\ncheck EMAIL_TO/);
  });

  test("refuses one recipient of two: the other gets the mail", async () => {
    const { sent, server } = await toServer({ security: "none", refuse: ["oncall@example.com"] });
    expect(await told(sent)).toMatch(/refused oncall@example\.com: 550 .* is not welcome\ncheck EMAIL_TO/);
    expect(server.only().to).toEqual(["admin@example.com"]);
  });

  test("refuses the mail itself", async () => {
    const { sent } = await toServer({ security: "none", refuseMail: "looks like spam" }, {}, patience.short);
    expect(await told(sent)).toMatch(/refused the mail: 450 looks like spam/);
  });
});

describe.concurrent("N9: what a mail server calls temporary is tried again:", () => {
  test.each(["backup@example.com", "admin@example.com"])("450 for %s", async (address) => {
    const { sent, server } = await toServer({ security: "none", greyList: { addresses: [address], times: 2 } });
    expect(await sent).toStartWith("mail sent to");
    expect(server.mails.flatMap(({ to }) => to).toSorted()).toEqual(["admin@example.com", "oncall@example.com"]);
  });

  test("421 instead of a greeting", async () => {
    const { sent, server } = await toServer({ security: "none", busy: 1 });
    expect(await sent).toStartWith("mail sent to");
    expect(server.mails).toHaveLength(1);
  });

  test("450 for longer than our patience is a failure that may pass", async () => {
    const greyList = { addresses: ["backup@example.com"], times: 99 };
    const { sent } = await toServer({ security: "none", greyList }, {}, patience.short);
    expect(await sent.catch((error: unknown) => (error as Undelivered).again)).toBe("soon");
  });
});

test("mail settings that are not complete are told all at once", async () => {
  const settings = { EMAIL_FROM: "backup@example.com", SMTP_USER: "backup" };
  expect(await told(send(settings))).toMatch(
    /^the mail settings are incomplete: SMTP_HOST, EMAIL_TO, SMTP_PASSWORD not/,
  );
  const unnamed = { ...mailSettings(25, { security: "none" }), SMTP_PASSWORD: "secret" };
  expect(await told(send(unnamed))).toMatch(/^the mail settings are incomplete: SMTP_USER not set, or not valid/);
});

const webhook = (url: string, total = 30_000, each = 10_000) =>
  post({ setting: "NOTIFY_WEBHOOK_URL", url: new URL("/T0KEN/hook", url), body: "{}" }, { total, each });
const http = (answer: (asked: Asked, nth: number) => Response | Promise<Response> | undefined): HttpServer =>
  stopLater(startHttpServer(answer));

describe.concurrent("a webhook that", () => {
  test.each([400, 401, 404, 410])("answers %d is not asked again", async (status) => {
    const server = http(() => new Response("no such hook", { status }));
    const words = await told(webhook(server.url));
    expect(words).toMatch(new RegExp(`answered ${status}: no such hook\ncheck NOTIFY_WEBHOOK_URL`));
    expect(words).not.toContain("T0KEN");
    expect(server.asked).toHaveLength(1);
  });

  test.each([301, 302, 307, 308])("redirects with %d is a failure", async (status) => {
    const server = http(({ path }) =>
      path === "/elsewhere" ? undefined : new Response(null, { status, headers: { Location: "/elsewhere" } }),
    );
    expect(await told(webhook(server.url))).toMatch(/answered 30.\nredirects are not followed: set NOTIFY_WEBHOOK_URL/);
    expect(server.asked).toHaveLength(1);
  });

  test.each([429, 500, 503])("answers %d once is asked again", async (status) => {
    const server = http((_, nth) => (nth === 1 ? new Response("later", { status }) : undefined));
    await webhook(server.url);
    expect(server.asked.map(({ body }) => body)).toEqual(["{}", "{}"]);
  });

  test("answers 500 for ever is asked three times", async () => {
    const server = http(() => new Response("", { status: 500 }));
    expect(await told(webhook(server.url))).toMatch(/answered 500\nlook at the state of that service/);
    expect(server.asked).toHaveLength(3);
  });

  test("hangs", async () => {
    const server = http(() => new Promise(() => {}));
    expect(await told(webhook(server.url, 700, 500))).toMatch(/did not answer within 0\.\d s\n.*NOTIFY_WEBHOOK_URL/);
  });

  test("is down", async () => {
    expect(await told(webhook(`http://127.0.0.1:${freePort()}`))).toMatch(/cannot be reached: connection refused/);
  });

  test("speaks garbage", async () => {
    const server = stopLater(await startTcpServer((socket) => void socket.end("garbage\r\n\r\n")));
    expect(await told(webhook(`http://127.0.0.1:${server.port}`))).toMatch(/NOTIFY_WEBHOOK_URL/);
  });

  test("has a certificate that is not trusted", async () => {
    const server = stopLater(startHttpServer(undefined, certificate));
    expect(await told(webhook(server.url))).toMatch(/certificate that is not trusted: .*\n.*CA_FILE/);
  });
});

test("a ping carries its message and survives a short outage", async () => {
  const server = http((_, nth) => (nth === 1 ? new Response("", { status: 502 }) : undefined));
  await ping({ HEALTHCHECK_URL: `${server.url}/uuid?create=1` }, "fail", "the disk is full");
  expect(server.asked.map(({ method, path, body }) => ({ method, path, body }))).toEqual([
    { method: "POST", path: "/uuid/fail?create=1", body: "the disk is full" },
    { method: "POST", path: "/uuid/fail?create=1", body: "the disk is full" },
  ]);
});

test("a secret that got into an outcome leaves it neither as text, as HTML nor as JSON", async () => {
  const secret = `p@$$ "w'rd" <&> \\ ${crypto.randomUUID()}`;
  hideSecrets([secret]);
  const mail = stopLater(await startMailServer({ security: "none" }));
  const hook = http(() => undefined);
  const settings = settingsFrom({ ...mail.settings, NOTIFY_WEBHOOK_URL: `${hook.url}/hook` });
  const text = `login with ${secret} refused`;
  const now = new Date();
  const outcome: Outcome = {
    script: "backup",
    status: "failure",
    exitStatus: 1,
    site: text,
    host: text,
    version: "1.2.3",
    startedAt: now,
    endedAt: now,
    facts: { database: text, server: text, localPath: text },
    summary: text,
    warnings: [text],
    error: { message: text, hints: [text] },
    logTail: [text],
  };
  await notify(outcome, settings, configureLog("test", { LOG_LEVEL: "error", LOG_FORMAT: "text" }));
  const { subject = "", text: body = "", html } = mail.only().parsed;
  for (const sent of [subject, body, String(html), hook.asked[0]?.body ?? ""]) {
    expect(sent).toContain("login with *** refused");
    expectNoSecrets(sent, [secret]);
  }
});
