/**
 * Reads `.env.sh`. What is accepted means to us exactly what it means to /bin/sh; everything else is refused with its
 * line, the cause and what to write instead. dotenv does the reading, the guard makes sure that sh reads the same.
 */
import { parse } from "dotenv";

interface Assignment {
  name: string;
  value: string;
  /** Line of the file, from 1. */
  line: number;
}

/** A line that is not accepted. Its texts hold no part of a value, but for the name in a `${NAME}`. */
interface Refusal {
  line: number;
  /** What the line tries to set, where that can be told. */
  name?: string;
  cause: string;
  remedy: string;
}

interface EnvFile {
  assignments: Assignment[];
  refusals: Refusal[];
  /** Names that some value refers to: variables of the file's own, not misspelt settings. */
  referenced: Set<string>;
}

/** Reads the bytes of an `.env.sh`; `$NAME` means an earlier line of the file, or else a variable of `environment`. */
export function parseEnvFile(content: Uint8Array, environment: Readonly<Record<string, string | undefined>>): EnvFile {
  const file: EnvFile = { assignments: [], refusals: [], referenced: new Set() };
  const known = new Map(Object.entries(environment));
  for (const [index, bytes] of splitLines(content).entries()) {
    const line = index + 1;
    const verdict = guardLine(bytes, line === 1, known);
    if (verdict === "blank") continue;
    if ("cause" in verdict) {
      file.refusals.push({ line, ...verdict });
      continue;
    }
    const { name, raw } = verdict;
    const value = raw.startsWith("'") ? read(raw) : expand(read(raw), known, file.referenced);
    known.set(name, value);
    file.assignments.push({ name, value, line });
  }
  return file;
}

function splitLines(content: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  for (let end = content.indexOf(10); end >= 0; end = content.indexOf(10, start)) {
    lines.push(content.subarray(start, end));
    start = end + 1;
  }
  return [...lines, content.subarray(start)];
}

/** One value through dotenv, alone, so that its matching over several lines has nothing to go astray on. */
const read = (raw: string) => parse(`VALUE=${raw}`)["VALUE"] ?? "";

function expand(value: string, known: Known, referenced: Set<string>): string {
  return value.replace(references, (_, braced?: string, plain?: string) => {
    const name = braced ?? plain ?? "";
    referenced.add(name);
    return known.get(name) ?? "";
  });
}

/** Variables that a value may refer to. */
type Known = ReadonlyMap<string, string | undefined>;
type Reason = readonly [cause: string, remedy: string];
type Refused = { name?: string; cause: string; remedy: string };

const assignment = /^[ \t]*(export[ \t]+)?([A-Za-z_]\w*)=(.*)$/;
/** The value, and what may follow it. `refuseReferences` decides which `$`, `{` and `}` it can hold. */
const accepted = /^('[^']*'|"[^"\\`]*"|[\w@%+=:,./^!${}-]*)(?:[ \t]+#.*|[ \t]*)$/;
/** `${NAME}`, or `$NAME` when no letter beyond ASCII follows: some shells would read that as a part of the name. */
const references = /\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)(?!\w|[^\0-~]))/g;
/** Variables that some shell sets, changes or forbids to set by itself. */
const ownedByShell =
  /^(?:_|IFS|PS\d|PPID|UID|EUID|GROUPS|PWD|OLDPWD|OPT[A-Z]+|LINENO|S?RANDOM|SECONDS|EPOCH\w+|REPLY|SHLVL|SHELLOPTS|BASH\w*|COMP_\w+|FUNC\w+|HIST\w+|PIPESTATUS|DIRSTACK|MAPFILE|COLUMNS|LINES|LANG|LC_\w+|POSIXLY_CORRECT)$/;

/**
 * Accepts a line only when dotenv and every /bin/sh (dash, bash, busybox) read the same from it. Returns the assignment (`raw` is the
 * value with its quotes), "blank", or why the line is refused.
 */
function guardLine(bytes: Uint8Array, first: boolean, known: Known): "blank" | { name: string; raw: string } | Refused {
  const text = decode(bytes);
  const [, exported, name, value = ""] = assignment.exec(text ?? "") ?? [];
  const reason = refuseBytes(bytes, text, first);
  if (reason) return refused(name, reason);
  if (text === undefined || /^[ \t]*(?:#.*)?$/.test(text)) return "blank";
  if (name === undefined) return refused(/^[ \t]*(?:export[ \t]+)?(\w+)/.exec(text)?.[1], refuseForm(text));
  if (ownedByShell.test(name))
    return refused(name, ["this variable belongs to the shell itself", "choose another name"]);
  const raw = accepted.exec(value)?.[1];
  const why = raw === undefined ? refuseValue(value) : refuseReferences(raw, exported !== undefined, known);
  return raw === undefined || why ? refused(name, why, value) : { name, raw };
}

/** Single quotes are the remedy for nearly everything; only a value with a `'` in it cannot have them. */
function refused(name: string | undefined, reason: Reason | undefined, value = ""): Refused {
  const [cause = "no shell reads this value for certain", remedy = quoteIt] = reason ?? [];
  const also = value.slice(1, -1).includes("'") && remedy.includes("single quotes");
  return {
    name,
    cause,
    remedy: also ? `${remedy} (a secret that has a ' in it: write it to a file and set NAME_FILE='/path')` : remedy,
  };
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function refuseBytes(bytes: Uint8Array, text: string | undefined, first: boolean): Reason | undefined {
  if (text === undefined) return ["the line is not valid UTF-8", "save the file as UTF-8"];
  if (first && text.startsWith("\uFEFF"))
    return ["the file begins with a byte order mark", "save it as UTF-8 without BOM"];
  if (bytes.at(-1) === 13)
    return ["the line ends in a carriage return, as on Windows", "save the file with Unix line endings"];
  // Control characters but tab, and the line separators that only JavaScript knows.
  // eslint-disable-next-line no-control-regex
  if (/[\0-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]/.test(text)) return ["there is a control character", "remove it"];
  return undefined;
}

const quoteIt = "put the value in single quotes: NAME='value'";
const oneALine = "write one NAME='value' a line";

function refuseForm(text: string): Reason {
  if (/^[ \t]*(?:export[ \t]+)?\w+[ \t]+=/.test(text))
    return ["there is a space before the equals sign", "write NAME='value' without spaces around ="];
  if (/^[ \t]*export[ \t]+[\w \t]*(?:#.*)?$/.test(text)) return ["export without a value", "write export NAME='value'"];
  if (/^[ \t]*\w+(?:\+=|\[)/.test(text)) return ["arrays and += are not accepted", oneALine];
  if (/^[ \t]*(?:export[ \t]+)?[^ \t='"$]+=/.test(text))
    return ["a name has only letters, digits and _, and no digit first", oneALine];
  return ["this is neither a comment nor NAME=value", "write NAME='value', or put # in front to make it a comment"];
}

const literally = "if the $ belongs to the value, put the value in single quotes";
const command: Reason = [
  "commands are not run here",
  "write what the command prints; if ` or $( belongs to the value, put the value in single quotes",
];
const trailing: Reason = [
  "there is text after the closing quote",
  "put one pair of quotes around the whole value, double ones when it has a ' in it (NAME=\"it's\"); a comment needs a space before #",
];

/** Why a line is refused. The first pattern that matches counts: they stand in the order in which a person should read them. */
const causes: readonly (readonly [pattern: RegExp, reason: Reason])[] = [
  [/^[ \t]/, ["there is a space after the equals sign", "write NAME='value' without spaces around ="]],
  [/^'[^']*$|^"[^"]*$/, ["the quote is not closed on its line", "close it; a value has one line"]],
  [/^'/, trailing],
  [/`|\$\(/, command],
  [/^"[^"]*\\/, ["there is a backslash in double quotes", quoteIt]],
  [/^"/, trailing],
  [/^\(/, ["arrays are not accepted", oneALine]],
  [/^~|:~/, ["a shell would replace ~ by the home folder", `write "$HOME/..."; if ~ belongs to the value, ${quoteIt}`]],
  [/^[^'"]+['"]/, ["a quote begins in the middle of the value", "put the quotes around the whole value"]],
  [/\\/, ["there is a backslash outside single quotes", quoteIt]],
  [/[;&|<>()]/, ["; & | < > ( ) end the value or mean something else to a shell", `${oneALine}; or ${quoteIt}`]],
  [/[ \t][^# \t]/, ["there is a space in the value and no quotes around it", quoteIt]],
  [
    /#/,
    ["a # stands right after the value", `a comment needs a space before #; if # belongs to the value, ${quoteIt}`],
  ],
  [/[*?[\]~]/, ["a shell may replace * ? [ ] ~ by something else", quoteIt]],
  [/[^ -~]/, ["there is a character beyond ASCII and no quotes around the value", quoteIt]],
];

const refuseValue = (value: string) => causes.find(([pattern]) => pattern.test(value))?.[1];

/** Each `$` of a bare or double-quoted value must begin a reference that means the same to every shell. */
function refuseReferences(raw: string, exported: boolean, known: Known): Reason | undefined {
  if (raw.startsWith("'")) return undefined;
  const rest = raw.replaceAll(references, "");
  if (rest.includes("$(")) return command;
  if (rest.includes("$"))
    return ["a $ begins neither ${NAME} nor $NAME", `write the value of that expression; ${literally}`];
  for (const [, braced, plain] of raw.matchAll(references)) {
    const name = braced ?? plain ?? "";
    if (ownedByShell.test(name)) return ["a variable of the shell itself has no value here", `write it; ${literally}`];
    // a plain $NAME may be a piece of a secret: pa$word
    const which = braced === undefined ? "a variable" : `the variable ${braced}`;
    if (known.get(name) === undefined)
      return [`${which} is set neither above nor in the environment`, `set it above; ${literally}`];
  }
  if (raw.startsWith('"')) return undefined;
  if (/[{}]/.test(rest)) return ["there is a brace outside quotes", quoteIt];
  // yash and older versions of dash split `export A=$B` at the spaces of B, but not `A=$B`.
  if (exported && rest !== raw) return ["after export a reference needs quotes", 'write export NAME="$OTHER"'];
  return undefined;
}
