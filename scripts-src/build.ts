/**
 * Makes backup_scripts/: one self-contained executable under every script's name, and its own for a PATH.
 *   bun scripts-src/build.ts                     build
 *   bun scripts-src/build.ts --generate          write the files that are generated from the settings
 *   bun scripts-src/build.ts --check-generated   fail when one of them is out of date
 */
import { existsSync, linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generatedFiles } from "./manual/generate.ts";
import type { Described } from "./manual/generate-documentation.ts";
import { metricMeanings } from "./notify/metrics.ts";
import { exitStatusMeanings, usageOf } from "./run/command-line.ts";
import { scripts } from "./scripts/scripts.ts";

const root = join(import.meta.dir, "..");
const deployed = join(root, "backup_scripts");
const names = ["backup_scripts", "backup", "restore", "verify", "list", "sync", "help", "schedule"];

async function build(): Promise<void> {
  const first = join(deployed, ".build");
  const result = await Bun.build({
    entrypoints: [join(root, "scripts-src/main.ts"), join(root, "scripts-src/archive/gzip-worker.ts")],
    root: join(root, "scripts-src"),
    // side by side, so that `new URL("./gzip-worker.ts", import.meta.url)` finds the worker as it does in the sources
    naming: "[name].[ext]",
    target: "bun",
    // esm: top-level await and import.meta work with bytecode
    format: "esm",
    bytecode: true,
    // a script loads its own modules and no others: help starts in half the time
    splitting: true,
    // identifiers stay: renaming has bugs upstream (oven-sh/bun#28742, #14585)
    minify: { whitespace: true, syntax: true, identifiers: false },
    compile: {
      outfile: first,
      // a cron job of root must not read or run what lies in a stranger's folder
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
  });
  for (const message of result.logs) process.stderr.write(`${message.message}\n`);
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
