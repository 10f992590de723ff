/** Which script was called? Load it, run it. All scripts are one executable; the name that it is called by decides. */
import { basename } from "node:path";
import { distance } from "fastest-levenshtein";
import { exitStatus } from "./base/errors.ts";
import { configureLog } from "./base/log.ts";
import { visibleName } from "./base/text.ts";
import { run } from "./run/run.ts";
import { scripts } from "./scripts/scripts.ts";

const names = Object.keys(scripts);

/**
 * The script's name and its arguments. The name of the call decides; a name of several words (`backup-shop`,
 * `nightly_backup`) counts when exactly one of them is a script's. Under any other name, and under the program's own
 * (`backup_scripts`), the first argument decides.
 */
function chooseScript(calledAs: string, argv: string[]): [name: string, argv: string[]] {
  const words = calledAs.split(/[^a-z]+/i).filter((word) => names.includes(word));
  if (words.length === 1 && words[0] && !/^backup_scripts/i.test(calledAs)) return [words[0], argv];
  const [first = "", ...rest] = argv;
  if (["", "--help", "-h"].includes(first) && /^backup_scripts/i.test(calledAs)) return ["help", rest];
  return first === "--version" ? ["help", argv] : [first, rest];
}

function refuse(name: string): never {
  const log = configureLog("backup_scripts", { LOG_LEVEL: "info", LOG_FORMAT: "text" });
  const likely = names.find((known) => distance(known, name.toLowerCase()) <= 2);
  log.error(`unknown script ${visibleName(name)}; known: ${names.join(", ")}`);
  log.error(
    `hint: ${likely ? `did you mean ${likely}?` : "rename the file, or name the script as the first argument"}`,
  );
  process.exit(exitStatus.usage);
}

process.umask(0o077);
const calledAs = basename(process.argv0);
const [name, argv] = chooseScript(calledAs, process.argv.slice(2));
const load = names.includes(name) ? scripts[name] : undefined;
process.exit(load ? await run(await load(), argv) : refuse(name || calledAs));
