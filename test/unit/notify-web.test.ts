import { expect, test } from "bun:test";
import { pingRequest } from "../../scripts-src/notify/healthcheck.ts";
import { webhookBody } from "../../scripts-src/notify/webhook.ts";
import type { Outcome } from "../../scripts-src/notify/outcome.ts";

test.each([
  ["https://hc-ping.com/uuid", "start", "https://hc-ping.com/uuid/start"],
  ["https://hc-ping.com/uuid", "success", "https://hc-ping.com/uuid"],
  ["https://hc-ping.com/uuid", "fail", "https://hc-ping.com/uuid/fail"],
  ["https://hc-ping.com/uuid", "log", "https://hc-ping.com/uuid/log"],
  ["https://hc-ping.com/uuid/", "fail", "https://hc-ping.com/uuid/fail"],
  ["https://hc-ping.com/key/slug?create=1", "start", "https://hc-ping.com/key/slug/start?create=1"],
  ["https://hc-ping.com/key/slug/?create=1", "success", "https://hc-ping.com/key/slug/?create=1"],
  ["https://user:p%40ss@example.com:8443/ping", "fail", "https://user:p%40ss@example.com:8443/ping/fail"],
  ["https://example.com", "start", "https://example.com/start"],
] as const)("%s pinged with %s", (base, kind, address) => {
  expect(pingRequest(base, kind, "")?.url.href.replace(/\/$/, "")).toBe(address.replace(/\/$/, ""));
});

test.each([
  ["start", undefined],
  ["log", undefined],
  ["success", "https://kuma.example.com/api/push/T0k3n?status=up&msg=all+is+well&ping="],
  ["fail", "https://kuma.example.com/api/push/T0k3n?status=down&msg=all+is+well&ping="],
] as const)("N10: Uptime Kuma's address, as it is copied there, pinged with %s", (kind, address) => {
  const base = "https://kuma.example.com/api/push/T0k3n?status=up&msg=OK&ping=";
  const request = pingRequest(base, kind, "all is\nwell");
  expect(request?.url.href).toBe(address);
  if (request) expect([request.method, request.body]).toEqual(["GET", undefined]);
});

const least: Outcome = {
  script: "sync",
  status: "failure",
  exitStatus: 2,
  site: "shop",
  host: "db1",
  version: "1.2.3",
  startedAt: new Date("2026-02-03T23:30:00Z"),
  endedAt: new Date("2026-02-03T23:30:01.500Z"),
  facts: {},
  summary: "S3_BUCKET is missing",
  warnings: [],
  error: { message: "S3_BUCKET is missing", hints: ["set it"], stack: "not for others" },
  logTail: ["a", "b"],
};

test("the webhook's JSON has every key, null when nothing is known", () => {
  expect(webhookBody(least)).toStrictEqual({
    format: 1,
    text: "FAILED: shop sync\nS3_BUCKET is missing",
    status: "failure",
    exitStatus: 2,
    test: false,
    script: "sync",
    site: "shop",
    host: "db1",
    version: "1.2.3",
    startedAt: "2026-02-03T23:30:00.000Z",
    endedAt: "2026-02-03T23:30:01.500Z",
    durationSeconds: 1.5,
    summary: "S3_BUCKET is missing",
    warnings: [],
    error: { message: "S3_BUCKET is missing", hints: ["set it"] },
    database: null,
    server: null,
    file: null,
    bytes: null,
    previousBytes: null,
    rows: null,
    restoreSeconds: null,
    localPath: null,
    remoteLocation: null,
    databases: null,
    lastGood: null,
    logTail: ["a", "b"],
  });
});

test("the webhook's JSON of a success has the facts and no error", () => {
  const facts = {
    database: "app",
    server: "s",
    file: "f",
    bytes: 2,
    previousBytes: 1,
    localPath: "/f",
    remoteLocation: "r",
  };
  const { error: _, ...rest } = least;
  const body = webhookBody({ ...rest, status: "success", exitStatus: 0, summary: "done", facts });
  expect(body).toMatchObject({ ...facts, status: "success", error: null, text: "OK: shop sync of app\ndone" });
  expect(Object.keys(body)).toEqual(Object.keys(webhookBody(least)));
});
