/** The tests that bun registers, found without running one: so that a table or a document can name a test, and be checked. */
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { tempDir } from "../machine/temp.ts";

/** Exact titles of the tests in these files (named below test/, without `.test.ts`); of a `test.each`, one for each row. */
async function registeredTests(files: readonly string[]): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const titles = new Map(files.map((file) => [file, new Set<string>()]));
  const report = join(tempDir("registered"), "report.xml");
  const none = ["--test-name-pattern", "^no test has this title$"];
  const paths = [...titles.keys()].map((file) => `./test/${file}.test.ts`);
  const argv = [process.execPath, "test", ...none, "--reporter=junit", `--reporter-outfile=${report}`, ...paths];
  const bun = Bun.spawn(argv, {
    cwd: resolve(import.meta.dir, "../../.."),
    env: { ...process.env, [registerAll]: "1" },
    stdout: "ignore",
    stderr: "pipe",
  });
  const words = await bun.stderr.text();
  // a pattern that fits no test ends with status 1, and the report is written all the same
  const text = (await Bun.file(report).exists()) ? readFileSync(report, "utf8") : "";
  if (text === "") throw new Error(`bun lists no tests: ${words}`);
  for (const [, title = "", file = ""] of text.matchAll(
    /<testcase name="([^"]*)"[^>]* file="test\/([^"]*)\.test\.ts"/g,
  ))
    titles.get(file)?.add(unescape(title));
  return titles;
}

/** The environment variable with which also those tests are registered for which the machine lacks something. */
const registerAll = "REGISTER_ALL_TESTS";

/** Tests are only listed by now, and none is run. */
export const isListing = process.env[registerAll] === "1";

const entities: Record<string, string> = { quot: '"', apos: "'", lt: "<", gt: ">", amp: "&" };
const unescape = (text: string): string =>
  text.replaceAll(/&(\w+);/g, (whole, name: string) => entities[name] ?? whole);

/** Those of the tests (`[file, title]`) that are not registered, as "file: title". */
export async function lostTests(tests: readonly (readonly [file: string, title: string])[]): Promise<string[]> {
  const registered = await registeredTests(tests.map(([file]) => file));
  const lost = tests.filter(([file, title]) => !registered.get(file)?.has(title));
  return [...new Set(lost.map(([file, title]) => `${file}: ${title}`))];
}
