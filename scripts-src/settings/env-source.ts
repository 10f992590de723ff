/** Where settings come from: the settings file and the environment, each as names with values. */
import { readFileSync, statSync } from "node:fs";
import { parseEnvFile } from "./env-file.ts";
import { isKnown } from "./env-names.ts";
import { codeOf, messageOf } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import { distrust } from "../base/trust.ts";

/** A value and where it was found: "environment", or file and line. */
export interface Given {
  value: string;
  where: string;
}
export type Source = ReadonlyMap<string, Given>;
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a settings file says. */
export interface FileSource {
  exists: boolean;
  /** `false`: nothing is known of what it sets. */
  readable: boolean;
  source: Source;
  /** Names that its lines use themselves. */
  referenced: ReadonlySet<string>;
  /** Settings on lines that were refused. */
  refused: string[];
  problems: string[];
  warnings: string[];
}

/** `tcp://10.0.0.1:5432`. */
const serviceLink = /^(tcp|udp|sctp):\/\/\S+:\d+$/;

/**
 * The variables that are set; an empty value counts as not set. Kubernetes sets `DB_PORT=tcp://10.0.0.1:5432` and others for each
 * Service (here one named `db`): they are left out, those that look like a setting with a warning in `ignored`.
 */
export function fromEnvironment(environment: Environment): { source: Source; ignored: string[] } {
  const set = Object.entries(environment).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const services = set.flatMap(([name, value]) => (serviceLink.test(value) && /^(\w+_)PORT$/.exec(name)?.[1]) || []);
  const isLink = ([name]: [string, string]) =>
    services.some((service) => name.startsWith(service) && /^(PORT|SERVICE)(_|$)/.test(name.slice(service.length)));
  return {
    source: new Map(set.filter((one) => !isLink(one)).map(([name, value]) => [name, { value, where: "environment" }])),
    ignored: set
      .filter((one) => isLink(one) && isKnown(one[0]))
      .map(
        ([name, value]) =>
          `${name} (environment): ${value} is ignored: Kubernetes sets it for a Service named ${name.replace(/_PORT$/, "").toLowerCase()}; ` +
          "set enableServiceLinks: false in the pod, and the port in the settings where it is not the usual one",
      ),
  };
}

/** Reads a settings file. That it is absent is a problem only when it was `named` explicitly. */
export function fromFile(path: string, named: boolean, environment: Environment): FileSource {
  const file: FileSource = {
    exists: true,
    readable: false,
    source: new Map(),
    referenced: new Set(),
    refused: [],
    problems: [],
    warnings: [],
  };
  try {
    const unsafe = refuseOthers(path, file.warnings);
    return unsafe ? { ...file, problems: [unsafe] } : { ...file, ...readLines(path, environment, file.warnings) };
  } catch (error) {
    if (codeOf(error) !== "ENOENT")
      return {
        ...file,
        problems: [
          codeOf(error) === "EISDIR"
            ? `${path}: is a folder; name the settings file in it`
            : `${path}: cannot be read: ${messageOf(error)}; run as its owner (sudo -u ...), or give your user read access`,
        ],
      };
    const absent = `${path}: no such settings file; name one that exists in --env-file or BACKUP_ENV_FILE`;
    return { ...file, exists: false, readable: !named, problems: named ? [absent] : [] };
  }
}

/** Whoever can change the file decides where backups and passwords go. Only a regular file's owner and mode tell anything. */
function refuseOthers(path: string, warnings: string[]): string | undefined {
  const state = statSync(path);
  if (!state.isFile()) return undefined;
  const why = distrust(path);
  if (why) return `${path}: other users can change this file: ${why.cause}; ${why.hint}`;
  if (state.mode & 0o004) warnings.push(`${path}: every user of this machine can read it; run: chmod 600 ${path}`);
  return undefined;
}

function readLines(path: string, environment: Environment, warnings: string[]): Partial<FileSource> {
  const content = readFileSync(path);
  const unix = withoutCarriageReturns(content);
  const { assignments, refusals, referenced } = parseEnvFile(unix, environment);
  const source = new Map<string, Given>();
  for (const { name, value, line } of assignments) {
    const earlier = source.get(name);
    if (earlier) warnings.push(`${name} (${path} line ${line}): already set at ${earlier.where}; the last one counts`);
    source.delete(name);
    if (value !== "") source.set(name, { value, where: `${path} line ${line}` });
  }
  const problems = refusals.map(({ line, name, cause, remedy }) => {
    // Anything else may be a piece of a value that went over several lines.
    const place = `${path} line ${line}`;
    return `${name !== undefined && isKnown(name) ? `${name} (${place})` : place}: ${cause}; ${remedy}`;
  });
  // one line for all of them; the settings are known, so that a mail can say so
  if (unix.length < content.length)
    problems.unshift(`${path}: its lines end as on Windows (carriage return); run: sed -i 's/\\r$//' ${quote(path)}`);
  const refused = refusals.flatMap(({ name }) => name ?? []);
  return { readable: true, source, referenced, refused, problems };
}

/** Byte for byte: the encoding is judged later. */
const withoutCarriageReturns = (content: Buffer) =>
  Buffer.from(content.toString("latin1").replaceAll(/\r$/gm, ""), "latin1");
