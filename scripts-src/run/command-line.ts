/** The command line of a script, by yargs. */
import { distance } from "fastest-levenshtein";
import yargs, { type Argv } from "yargs";
import { type Failure, usageFailure } from "../base/errors.ts";
import type { Script } from "./script.ts";
import { version } from "../base/version.ts";

/** The same for every script. */
export const exitStatusMeanings: readonly (readonly [status: string, meaning: string])[] = [
  ["0", "done"],
  ["1", "the job failed"],
  ["2", "wrong usage or settings, nothing was attempted"],
  ["3", "a needed program is missing"],
  ["4", "no such backup"],
  ["5", "another run holds the lock"],
  ["128+n", "stopped by signal n, after cleaning up"],
];
const exitStatusTable = `Exit status:\n${exitStatusMeanings.map(([status, meaning]) => `  ${status}  ${meaning}`).join("\n")}`;

/** yargs for a script, with what all scripts share. */
function parserOf(script: Script, width = Math.min(100, process.stdout.columns ?? 80)) {
  const parser = yargs([])
    .scriptName(script.name)
    .version(version)
    .help()
    .alias("help", "h")
    .option("env-file", {
      type: "string",
      requiresArg: true,
      describe: "FILE to read the settings from, instead of .env.sh beside the executable",
    })
    .usage(`Usage: $0 ${script.usage}\n\n${script.summary.replaceAll("\n", " ")}`)
    .command(["$0", ...argumentsOf(script).map((name) => `[${name}]`)].join(" "), false, (builder) =>
      declare(script, builder),
    )
    .epilogue(exitStatusTable)
    .strict()
    .exitProcess(false)
    .locale("en")
    .updateStrings({ "Positionals:": "Arguments:" })
    .group(["env-file", "help", "version"], "Common options:")
    .wrap(width)
    .parserConfiguration({
      "duplicate-arguments-array": false,
      "boolean-negation": false,
      "dot-notation": false,
      "parse-positional-numbers": false,
    });
  for (const [command, meaning] of script.examples) parser.example(command, meaning);
  return parser;
}

const argumentsOf = ({ argument }: Script) => Object.keys(argument ?? {});

function declare(script: Script, builder: Argv): Argv {
  for (const [name, { describe }] of Object.entries(script.argument ?? {}))
    builder.positional(name, { type: "string", describe });
  return builder.options(script.options).check((words) => {
    const wrong = script.contradiction?.(words);
    if (wrong !== undefined) throw new Error(wrong);
    return true;
  });
}

/** yargs shows the type of every option, which nobody needs, and puts the common options first. */
function tidy(usage: string): string {
  const parts = usage.replaceAll(/\s*\[(?:boolean|string|array)\](?: \[default: false\])?$/gm, "").split("\n\n");
  const last = (part: string) =>
    Number(part.startsWith("Common options:")) + 2 * Number(part.startsWith("Exit status:"));
  return parts
    .toSorted((a, b) => last(a) - last(b))
    .join("\n\n")
    .trimEnd();
}

/** The usage text of a script, as `--help` prints it, in lines of `width` characters. */
export const usageOf = async (script: Script, width: number): Promise<string> =>
  tidy(await parserOf(script, width).getHelp());

/** What yargs makes of a command line; under `_` stands what came behind `--`. */
type Parsed = Record<string, unknown> & { _: (string | number)[] };

/** What a command line asks for. */
interface Asked {
  options: object;
  /** What `--env-file` names. */
  envFile: string | undefined;
  /** What makes no sense in it: nothing is to be done, but `options` say as far as they can what was meant. */
  wrong: Failure | undefined;
}

/** Reads a command line: what it asks for, or the text that `--help` and `--version` show (nothing else is to be done then). */
export async function parseOptions(script: Script, argv: readonly string[]): Promise<Asked | { shown: string }> {
  let shown = "";
  let problem: string | undefined;
  const parsed: Parsed = await parserOf(script)
    .fail((message, error) => {
      problem ??= asTyped(message ?? error?.message ?? "wrong usage", argv);
    })
    .parseAsync([...argv], {}, (_error, _options, output) => {
      shown = tidy(output);
    });
  problem ??= wrongFlag(parsed, argv) ?? takePositionals(script, parsed);
  if (problem === undefined && shown !== "") return { shown };
  const { envFile } = parsed;
  return {
    options: parsed,
    envFile: typeof envFile === "string" ? envFile : undefined,
    wrong: problem === undefined ? undefined : usageFailure(problem, ...hintsFor(script, problem)),
  };
}

/** The option that a mistyped one was probably meant to be, and where all of them are shown. */
function hintsFor(script: Script, problem: string): string[] {
  const usage = `${script.name} --help shows the usage`;
  const words = /^unknown arguments?: (.*)$/s.exec(problem)?.[1]?.split(", ") ?? [];
  const options = ["env-file", "help", "version", ...Object.keys(script.options)].map((name) => `--${name}`);
  const likely = words.flatMap((word) => likelyOption(word, options) ?? [])[0];
  return likely ? [`did you mean ${likely}?`, usage] : [usage];
}

/** `--uplod`, `--UPLOAD`, `--up` and `upload` mean `--upload`; a word without dashes only when it is exactly an option's. */
function likelyOption(word: string, options: readonly string[]): string | undefined {
  if (!word.startsWith("-")) return options.find((option) => option === `--${word}`);
  const typed = word.toLowerCase().replace(/^-*/, "--");
  const isLikely = (option: string) =>
    option !== word && (distance(option, typed) <= 2 || (typed.length > 3 && option.startsWith(typed)));
  return typed.length < 4 ? undefined : options.find(isLikely);
}

/** yargs names an unknown option without its dashes, and some twice (`no-yes, noYes`). A value can be a secret, so it is cut off. */
function asTyped(problem: string, argv: readonly string[]): string {
  const [, lacking] = /^Not enough arguments following: (.*)$/.exec(problem) ?? [];
  if (lacking !== undefined) return `--${lacking} needs a value`;
  const unknown = /^Unknown arguments?: (.*)$/s.exec(problem)?.[1]?.split(", ");
  if (unknown === undefined) return problem.replace(/^./, (letter) => letter.toLowerCase());
  const words = argv.map((word) => word.replace(/^(-.*?)=.*$/s, "$1"));
  const typed = words.filter((word) => unknown.includes(word.replace(/^--?/, "")));
  return unknownArguments(typed.length > 0 ? typed : unknown);
}

const unknownArguments = (words: string[]) => `unknown argument${words.length > 1 ? "s" : ""}: ${words.join(", ")}`;

/** yargs reads every value of a flag except `true` as `false`: `--dry-run=yes` would act. */
function wrongFlag(parsed: Parsed, argv: readonly string[]): string | undefined {
  for (const word of argv) {
    if (word === "--") break;
    const [, flag = "", value = ""] = /^(--[^=]+|-\w+)=(.*)$/s.exec(word) ?? [];
    const name = flag.startsWith("--") ? flag.slice(2) : flag.slice(-1);
    if (typeof parsed[name] === "boolean" && value !== "true" && value !== "false")
      return `${flag} takes no value but true or false`;
  }
  return undefined;
}

/** Gives the words behind `--` to the positional that is still free; returns a problem when words are left over. */
function takePositionals(script: Script, parsed: Parsed): string | undefined {
  const [name] = argumentsOf(script);
  const words = parsed._.splice(0).map(String);
  if (name !== undefined && parsed[name] === undefined) parsed[name] = words.shift();
  return words.length > 0 ? unknownArguments(words) : undefined;
}
