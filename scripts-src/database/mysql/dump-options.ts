/** The words on the command line of mariadb-dump or mysqldump. */
import parseWords from "string-argv";
import { usageFailure } from "../../base/errors.ts";
import { type ServerInfo, dumpsHistory } from "./probe.ts";

/** Options that would break what a backup promises, or that are ours to set; the programs take shortened names too. */
const refused = (
  "all-databases all-tablespaces comments compact databases default-character-set defaults force help host log-error login-path " +
  "no-defaults password port print-defaults protocol result-file set-gtid-purged skip-comments socket ssl system tab tables user " +
  "version xml"
).split(" ");

/** DB_DUMP_OPTIONS as words. Throws `Failure` with status 2 on one that cannot be used. */
export function dumpOptionsFrom(text: string | undefined): string[] {
  const words = parseWords(text ?? "");
  for (const word of words) {
    const name = /^--([a-z][\w-]*)(=|$)/.exec(word)?.[1]?.replaceAll("_", "-");
    if (name === undefined)
      throw usageFailure(`DB_DUMP_OPTIONS: ${word} cannot be used`, "write options in full: --name or --name=value");
    if (refused.some((option) => option.startsWith(name) || name.startsWith(`${option}-`)))
      throw usageFailure(
        `DB_DUMP_OPTIONS: ${word} cannot be used`,
        "format, file, character set and connection are set by the backup itself or by settings of their own",
      );
  }
  return words;
}

/** The words for the dump program, by what it knows: the two families differ. */
export function dumpWords({ dump, kind }: ServerInfo, options: readonly string[], database: string): string[] {
  const ifKnown = (option: string, value = "") => (dump.knows(option) ? [`--${option}${value}`] : []);
  return [
    "--single-transaction",
    "--quick",
    "--routines",
    "--triggers",
    "--events",
    "--hex-blob",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
    // locks serve nothing on the way back, and MariaDB cannot load a table with a sequence as default under them
    "--skip-add-locks",
    ...ifKnown("no-tablespaces"),
    ...ifKnown("set-gtid-purged", "=OFF"),
    ...ifKnown("column-statistics", "=0"),
    // they belong to the server, and most users may not read them
    ...ifKnown("masking-policies", "=0"),
    ...(dumpsHistory(dump, kind) ? ["--dump-history"] : []),
    ...options,
    "--",
    database,
  ];
}
