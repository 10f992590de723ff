/** The tables of DOCUMENTATION.md that say what the program does: checked against what it does. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Identity } from "../../scripts-src/archive/identity.ts";
import { formatManifest } from "../../scripts-src/archive/manifest.ts";
import type { Logger } from "../../scripts-src/base/log.ts";
import { inFolder } from "../../scripts-src/places/folder.ts";
import { prune } from "../../scripts-src/places/retention.ts";
import { parseBackupName } from "../../scripts-src/archive/name.ts";
import { webhookBody } from "../../scripts-src/notify/webhook.ts";
import { aboutSetting } from "../../scripts-src/settings/settings.ts";
import { indexLocal, reasonToKeep } from "../../scripts-src/steps/plan-sync.ts";
import { manifestFacts } from "../support/expect/backups.ts";
import { documentation, tableAfter } from "../support/expect/documentation.ts";
import { lostTests } from "../support/expect/registered.ts";
import { tempDir } from "../support/machine/temp.ts";

const root = resolve(import.meta.dir, "../..");
const now = new Date("2026-06-30T12:00:00Z");
const identity: Identity = { system: "1", server: "db:5432", site: "db", siteIsSet: false };
const ofDay = (day: string, database = "app") => `${database}_${day}_12-00-00.sql.gz`;

test("7: retention deletes what the table says, and nothing else", async () => {
  const young = [ofDay("2026-06-29")];
  const cases: Record<
    string,
    { files: string[]; bare?: boolean; identity?: Identity; proof?: boolean; bytes?: number }
  > = {
    "kept by no rule": { files: ["app_2026-06-16_11-59-59.sql.gz", ...young] },
    "exactly the days old, or younger": { files: [ofDay("2026-06-16"), ...young] },
    "the newest good backup of this server, however old": { files: [ofDay("2026-01-01")] },
    "the newest proved backup": { files: [ofDay("2026-01-01"), ...young], proof: true },
    "a backup of another database": { files: [ofDay("2026-01-01", "shop"), ...young] },
    "a backup of another server": { files: [ofDay("2026-01-01"), ...young], identity: { ...identity, system: "2" } },
    "damaged: of another size than its manifest says": { files: [ofDay("2026-01-01"), ...young], bytes: 99 },
    "without a manifest": { files: [ofDay("2026-01-01"), ...young], bare: true },
    "with a name from the future": { files: [ofDay("2027-01-01"), ...young] },
    "not named like a backup": { files: ["notes_2026-01-01.txt", ...young] },
  };
  const rules = [{ kind: "days" as const, count: 14, setting: "LOCAL_RETENTION_DAYS" }];
  const goes = Object.entries(cases).map(
    async ([text, { files, bare, proof, bytes = 0, identity: origin = identity }]) => {
      const dir = tempDir("retention");
      for (const [index, file] of files.entries()) {
        writeFileSync(join(dir, file), "");
        const facts = index > 0 ? { identity, bytes: 0 } : { identity: origin, bytes };
        const manifest = { ...manifestFacts, database: "app", sha256: "0".repeat(64), ...facts };
        if (!bare || index > 0) writeFileSync(join(dir, `${file}.json`), formatManifest(manifest));
        if (proof && index === 0) writeFileSync(join(dir, `${file}.proof.json`), "{}");
      }
      const log = { info() {}, error() {} } as unknown as Logger;
      await prune(inFolder(dir), { database: "app", rules, present: identity, now, log, warn() {} });
      return [text, existsSync(join(dir, files[0]!)) ? "no" : "yes"];
    },
  );
  expect(tableAfter("<!-- a table that the tests check: retention -->")).toEqual(await Promise.all(goes));
});

test("12: each promise names its tests, which bun registers, and every file that tries to break one is named", async () => {
  const [, chapter = ""] = documentation.split("\n## 12. Guarantees and their limits\n");
  const promises = [...(chapter.split("\nNot guaranteed:")[0] ?? "").matchAll(/^- \*\*(.*?)\*\*/gm)].map(
    ([, text]) => text,
  );
  const rows = tableAfter("<!-- a table that the tests check: promises -->");
  expect(rows.map(([promise]) => promise)).toEqual(promises);
  const tests = rows.flatMap(([, cell = ""]) =>
    cell.split("<br>").map((one) => /^`(.*)\.test\.ts`: (.*)$/.exec(one)?.slice(1) as [string, string]),
  );
  expect(await lostTests(tests)).toEqual([]);
  const breaking = [...new Bun.Glob("*.test.ts").scanSync({ cwd: resolve(root, "test/faults") })];
  const named = new Set(tests.map(([file]) => file).filter((file) => file.startsWith("faults/")));
  expect([...named].toSorted()).toEqual(breaking.map((file) => `faults/${file.replace(".test.ts", "")}`).toSorted());
});

test("7: sync deletes what the table says, and nothing else", () => {
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

test("6: the modes and the webhook's keys", () => {
  const modes = aboutSetting("EMAIL_NOTIFY_MODE").values?.split(", ") ?? [];
  expect(modes.length).toBe(4);
  for (const mode of modes) expect(documentation).toContain(`\n| \`${mode}\` | `);
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
  const [, keys = ""] = /a POST of JSON with the keys ([\s\S]*?)\.\s/.exec(documentation) ?? [];
  expect([...keys.matchAll(/`(\w+)`/g)].map(([, key]) => key)).toEqual(Object.keys(body));
});

/** All texts of the program, as they stand in the sources: `${…}` where something is filled in. */
const sources = [...new Bun.Glob("**/*.ts").scanSync({ cwd: resolve(root, "scripts-src"), absolute: true })].map(
  (file) => readFileSync(file, "utf8"),
);

test("14: every message is one that the program has, or a pattern that it explains", () => {
  const messages = tableAfter("## 14. Troubleshooting").flatMap(([cell = ""]) =>
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
