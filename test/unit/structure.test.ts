/** The house: which room may import which. An arrow that is missing here is missing on purpose. */
import { expect, test } from "bun:test";
import { dirname, join, relative, resolve } from "node:path";

const root = resolve(import.meta.dir, "../../scripts-src");

const floor = ["run", "notify", "settings", "base"];
const services = ["archive", "storage", "database", "scheduling", "report"];
/** A room may always import itself. */
const allowed: Record<string, readonly string[]> = {
  scripts: ["steps", "places", ...services, "manual", ...floor],
  steps: ["places", ...services, ...floor],
  places: ["archive", "storage", "run", "settings", "base"],
  archive: ["run", "settings", "base"],
  storage: ["run", "settings", "base"],
  database: ["run", "settings", "base"],
  scheduling: ["archive", "run", "settings", "base"],
  report: ["archive", "run", "settings", "base"],
  run: ["notify", "settings", "base"],
  notify: ["settings", "base"],
  settings: ["base"],
  manual: ["settings", "base"],
  base: [],
};
/** Imports of a type alone: what describes a script. */
const typesOnly = ["manual -> run"];
/** They join the rooms, or make what is shipped. */
const entrances = ["main.ts", "build.ts", "compile.ts", "release.ts"];

const roomOf = (path: string) => path.split("/")[0] ?? "";

async function forbiddenArrows(): Promise<string[]> {
  const found: string[] = [];
  for await (const file of new Bun.Glob("**/*.ts").scan(root)) {
    if (entrances.includes(file)) continue;
    const text = await Bun.file(join(root, file)).text();
    for (const [, words = "", path = ""] of text.matchAll(
      /^(import type |import |export )?[^;"]*?(?:from |import\()"(\.[^"]+)"/gm,
    )) {
      const target = relative(root, join(root, dirname(file), path));
      const [from, to] = [roomOf(file), roomOf(target)];
      if (target.startsWith("..") || from === to || allowed[from]?.includes(to)) continue;
      if (words === "import type " && typesOnly.includes(`${from} -> ${to}`)) continue;
      found.push(`${file} -> ${target}`);
    }
  }
  return found;
}

test("imports run one way: no room imports what is above or beside it", async () => {
  expect(await forbiddenArrows()).toEqual([]);
});

test("no script imports a script, and only steps/ and scripts/ know several rooms", async () => {
  const text = async (file: string) => Bun.file(join(root, file)).text();
  const scripts = [...new Bun.Glob("scripts/*.ts").scanSync(root)].filter((file) => file !== "scripts/scripts.ts");
  expect(scripts.length).toBeGreaterThan(4);
  for (const file of scripts) expect(await text(file)).not.toMatch(/from "\.\//);
});
