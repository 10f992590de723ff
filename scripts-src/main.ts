/** Which script was called? Load it, run it. All scripts are one executable, told apart by the name of the call. */
import { basename } from "node:path";
import { scripts } from "./scripts/scripts.ts";
import { run } from "./run/run.ts";
import { exitStatus } from "./base/errors.ts";
import { configureLog } from "./base/log.ts";

/**
 * The script's name and its arguments. The name of the call decides; a name of several words (`backup-shop`,
 * `nightly_backup`) counts when exactly one of them is a script's; under any other name the first argument decides.
 */
function chooseScript(calledAs: string, argv: string[]): [name: string, argv: string[]] | undefined {
  const words = basename(calledAs)
    .split(/[^a-z]+/i)
    .filter((word) => word in scripts);
  if (words.length === 1 && words[0]) return [words[0], argv];
  const [first = "", ...rest] = argv;
  return first in scripts ? [first, rest] : undefined;
}

process.umask(0o077);
const chosen = chooseScript(process.argv0, process.argv.slice(2));
const load = scripts[chosen?.[0] ?? ""];
if (chosen && load) process.exit(await run(await load(), chosen[1]));

const names = Object.keys(scripts).join(", ");
const log = configureLog("backup_scripts", { LOG_LEVEL: "info", LOG_FORMAT: "text" });
log.error(`called as ${basename(process.argv0)}, which is none of ${names}`);
log.error("hint: rename the file, or name the script as the first argument");
process.exit(exitStatus.usage);
