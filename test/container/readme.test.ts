/** What container/README.md shows to be copied is right. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { writeMetrics } from "../../scripts-src/notify/metrics.ts";
import { settingNames } from "../../scripts-src/settings/settings.ts";
import { tempDir } from "../support/machine/temp.ts";

const text = readFileSync(resolve(import.meta.dir, "../../container/README.md"), "utf8");
const [, rules = ""] = /^```yaml\n(.*?)^```$/ms.exec(text) ?? [];

test("the alert rules ask for metrics that are written", () => {
  const path = `${tempDir("rules")}/all.prom`;
  const [startedAt, endedAt] = [new Date(0), new Date(1)];
  const facts = { bytes: 1 };
  const rest = {
    site: "s",
    host: "h",
    version: "1",
    summary: "",
    warnings: [],
    logTail: [],
    startedAt,
    endedAt,
    facts,
  };
  writeMetrics(path, { script: "backup", status: "success", exitStatus: 0, ...rest });
  const written = readFileSync(path, "utf8");
  const { groups } = Bun.YAML.parse(rules) as { groups: { rules: { expr: string }[] }[] };
  const asked = groups.flatMap(({ rules }) => rules.flatMap(({ expr }) => expr.match(/backup_scripts_\w+/g) ?? []));
  expect(asked.length).toBeGreaterThan(2);
  for (const name of asked) expect(written).toContain(`\n${name}{`);
  for (const [, name = ""] of text.matchAll(/`(?:backup_scripts|…)_(last_\w+)`/g))
    expect(written).toContain(`\nbackup_scripts_${name}{`);
});

test("the settings that the image has are those that are told", () => {
  const dockerfile = readFileSync(resolve(import.meta.dir, "../../Dockerfile"), "utf8");
  const told = [...text.matchAll(/^\| `(\w+)` \| `([^`]*)` \|/gm)].filter(([, name]) =>
    settingNames.includes(name as "S3_URL"),
  );
  expect(told.length).toBe(5);
  for (const [, name, value] of told)
    expect(dockerfile).toMatch(new RegExp(`^( *|ENV )${name}=${value}( \\\\)?$`, "m"));
});
