/** The one compilation that every executable comes from. */
import { join } from "node:path";
import { scripts } from "./scripts/scripts.ts";

export const root = join(import.meta.dir, "..");

/** Names of the executable: the program's own, for a PATH, and every script's. */
export const names = ["backup_scripts", ...Object.keys(scripts)];

/** Compiles the program into `outfile`, for this machine or for another `target` (`bun-linux-arm64-musl`). */
export async function compileInto(outfile: string, target?: Bun.Build.CompileTarget): Promise<void> {
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
      outfile,
      ...(target && { target }),
      // a cron job of root must not read or run what lies in a stranger's folder
      autoloadDotenv: false,
      autoloadBunfig: false,
    },
  });
  for (const message of result.logs) process.stderr.write(`${message.message}\n`);
}
