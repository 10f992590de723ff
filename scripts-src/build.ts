/**
 * Makes backup_scripts/: one self-contained executable under every script's name, and its own for a PATH.
 *   bun scripts-src/build.ts                     build
 *   bun scripts-src/build.ts --generate          write the files that are generated from the settings
 *   bun scripts-src/build.ts --check-generated   fail when one of them is out of date
 */
import { existsSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileInto, names, root } from "./compile.ts";
import { type Described, generatedFiles } from "./manual/generate.ts";
import { metricMeanings } from "./notify/metrics.ts";
import { exitStatusMeanings, usageOf } from "./run/command-line.ts";
import { scripts } from "./scripts/scripts.ts";

const deployed = join(root, "backup_scripts");

async function build(): Promise<void> {
  const first = join(deployed, ".build");
  await compileInto(first);
  for (const name of names) {
    const link = join(deployed, `.${name}.new`);
    rmSync(link, { force: true });
    linkSync(first, link);
    // a running one keeps the file it was started from
    renameSync(link, join(deployed, name));
  }
  rmSync(first);
}

/** What the generated pages say of scripts and metrics. */
async function describe(): Promise<Described> {
  const all = await Promise.all(Object.values(scripts).map((load) => load()));
  // 80 columns, less the indent
  const usages = await Promise.all(all.map(async (script) => [script.name, await usageOf(script, 78)] as const));
  return {
    scripts: all,
    usages: Object.fromEntries(usages),
    exitStatus: exitStatusMeanings,
    metrics: metricMeanings,
  };
}

/** Writes the generated files, or with `check` names those that are out of date. Returns how many were. */
async function generate(check: boolean): Promise<number> {
  let stale = 0;
  for (const [path, wanted] of Object.entries(generatedFiles(await describe()))) {
    const file = join(root, path);
    if (existsSync(file) && readFileSync(file, "utf8") === wanted) continue;
    stale++;
    if (check) process.stderr.write(`${path} is out of date: bun run generate\n`);
    else writeFileSync(file, wanted);
  }
  return stale;
}

const mode = process.argv[2];
if (mode === undefined) await build();
else if ((await generate(mode === "--check-generated")) > 0 && mode === "--check-generated") process.exit(1);
