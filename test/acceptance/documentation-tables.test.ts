/** The tables of DOCUMENTATION.md that say what the program does: checked against what it does. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { decideRetention } from "../../scripts-src/places/retention.ts";
import { parseBackupName } from "../../scripts-src/archive/name.ts";
import { webhookBody } from "../../scripts-src/notify/webhook.ts";
import { schema } from "../../scripts-src/settings/settings.ts";
import { indexLocal, reasonToKeep } from "../../scripts-src/storage/plan.ts";
import { documentation, tableAfter } from "../support/documentation.ts";

const root = resolve(import.meta.dir, "../..");
const now = new Date("2026-06-30T12:00:00Z");
const ofDay = (day: string, database = "app") => `${database}_${day}_12-00-00.sql.gz`;

test("8: retention deletes what the table says, and nothing else", () => {
  const young = { name: ofDay("2026-06-29"), committed: true };
  const cases: Record<string, { name: string; committed: boolean }[]> = {
    "older than the days": [{ name: "app_2026-06-16_11-59-59.sql.gz", committed: true }, young],
    "exactly the days old, or younger": [{ name: ofDay("2026-06-16"), committed: true }, young],
    "the newest good backup, however old": [{ name: ofDay("2026-06-10"), committed: true }],
    "a backup of another database": [{ name: ofDay("2026-01-01", "app-staging"), committed: true }, young],
    "without a manifest": [{ name: ofDay("2026-01-01"), committed: false }, young],
    "with a name from the future": [{ name: ofDay("2027-01-01"), committed: true }, young],
    "not named like a backup": [{ name: "notes_2026-01-01.txt", committed: true }, young],
  };
  const goes = Object.entries(cases).map(([text, files]) => {
    const { expired } = decideRetention(files, { database: "app", now, days: 14 });
    return [text, expired.includes(files[0]!) ? "yes" : "no"];
  });
  expect(tableAfter("<!-- a table that the tests check: retention -->")).toEqual(goes);
});

test("8: sync deletes what the table says, and nothing else", () => {
  const entry = (name: string) => {
    const backup = name.replace(/\.json$/, "");
    const parsed = parseBackupName(backup);
    return { name, named: parsed && { backup, database: parsed.database, time: parsed.time } };
  };
  const files = [entry(ofDay("2026-06-01"))].flatMap(({ name, named }) => (named ? [{ name, named }] : []));
  const local = indexLocal(files);
  const cases: Record<string, string> = {
    "a backup, older than the newest local one of its database": ofDay("2026-05-01"),
    "the manifest of such a backup": `${ofDay("2026-05-01")}.json`,
    "newer than the newest local one of its database": ofDay("2026-06-02"),
    "of a database without any local backup": ofDay("2026-05-01", "other"),
    "not named like a backup": "notes.txt",
  };
  const goes = Object.entries(cases).map(([text, name]) => [
    text,
    reasonToKeep(entry(name).named, local, true) === undefined ? "yes" : "no",
  ]);
  expect(tableAfter("<!-- a table that the tests check: sync -->").slice(0, -1)).toEqual(goes);
  // the last row: shell-3-sync.test.ts, "a lost disk does not empty the bucket"
});

test("10: the modes and the webhook's keys", () => {
  const { options } = schema.unwrap().shape.EMAIL_NOTIFY_MODE.unwrap();
  for (const mode of options) expect(documentation).toContain(`\n| \`${mode}\` | `);
  const times = { startedAt: now, endedAt: now };
  const body = webhookBody({
    script: "backup",
    status: "success",
    exitStatus: 0,
    site: "s",
    host: "h",
    version: "0",
    ...times,
    facts: {},
    summary: "",
    warnings: [],
    logTail: [],
  });
  const [, keys = ""] = /a POST of JSON with the keys ([\s\S]*?)\. Slack/.exec(documentation) ?? [];
  expect([...keys.matchAll(/`(\w+)`/g)].map(([, key]) => key)).toEqual(Object.keys(body));
});

test("9: the promises name every file of tests that tries to break them, and no other", () => {
  const table = tableAfter("The tests that try to break these promises").join("\n");
  const named = new Set(Array.from(table.matchAll(/`([\w-]+\.test\.ts)`/g), ([, file]) => file));
  expect(named).toEqual(new Set(new Bun.Glob("*.test.ts").scanSync({ cwd: resolve(root, "test/faults") })));
});

/** All texts of the program, as they stand in the sources: `${…}` where something is filled in. */
const sources = [...new Bun.Glob("**/*.ts").scanSync({ cwd: resolve(root, "scripts-src"), absolute: true })].map(
  (file) => readFileSync(file, "utf8"),
);

test("12: every message is one that the program has, or a pattern that it explains", () => {
  const messages = tableAfter("## 12. Troubleshooting").flatMap(([cell = ""]) =>
    [...cell.matchAll(/`([^`]*)`/g)].map(([, message = ""]) => message),
  );
  expect(messages.length).toBeGreaterThan(30);
  for (const message of messages) {
    const pieces = message.split("…").map((piece) => RegExp.escape(piece.trim()));
    const filledIn = String.raw` ?\$\{[^}]*\} ?`;
    const pattern = new RegExp(pieces.join(filledIn));
    const escaped = message.replaceAll(".", "\\.");
    const known = sources.some((text) => pattern.test(text) || text.includes(escaped));
    expect({ message, known }).toEqual({ message, known: true });
  }
});
