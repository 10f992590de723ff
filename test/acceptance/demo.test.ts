/** `bun run demo`, and its recording in README.md. */
import { expect, setDefaultTimeout, test } from "bun:test";
import { resolve } from "node:path";
import { readme } from "../support/expect/documentation.ts";
import { startProgram } from "../support/machine/executables.ts";

setDefaultTimeout(180_000);

const demo = resolve(import.meta.dir, "../demo/demo.ts");
/** Numbers, sizes and times differ from run to run. */
const vague = (line: string) =>
  line
    .replace(/^\d{4}-\S+Z /, "")
    .replaceAll(/[KMGT]iB/g, "B")
    .replaceAll(/[\d.,_-]+/g, "0")
    .replaceAll(/\s+/g, " ");

test("PostgreSQL: a lost server is back, and README shows what the demo prints", async () => {
  const ran = await startProgram([process.execPath, demo]).done;
  expect(ran.status, ran.stderr).toBe(0);
  expect(ran.stdout).toContain("✓ dumps of both databases hold the same lines as before the disaster");
  expect(ran.stdout).toContain("OK: ");
  const [, recording = ""] = /^<!-- a recording: of the demo -->\n```text\n([\s\S]*?)^```$/m.exec(readme) ?? [];
  const lines = recording.split("\n").filter(Boolean);
  expect(lines.length).toBeGreaterThan(10);
  const printed = `${ran.stdout}\n${ran.stderr}`.split("\n").map(vague);
  for (const line of lines) expect(printed).toContain(vague(line));
});

test("MariaDB", async () => {
  const ran = await startProgram([process.execPath, demo, "--mysql"]).done;
  expect(ran.status, ran.stderr).toBe(0);
  expect(ran.stdout).toContain("✓ dumps of both databases hold the same lines as before the disaster");
});
