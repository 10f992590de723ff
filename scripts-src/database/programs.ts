/** Finds the client programs of a database. */
import { accessSync, constants, existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { scriptLog } from "../base/log.ts";
import { Memory } from "../base/memory.ts";
import { firstOutput } from "../base/process.ts";
import { distrust } from "../base/trust.ts";

/**
 * The folders that `pattern` names; the one star in it stands for any text within a name. A folder that cannot be read holds nothing.
 */
function foldersLike(pattern: string): string[] {
  const [before = "", after = ""] = pattern.split("*");
  const parent = before.slice(0, before.lastIndexOf("/") + 1);
  try {
    return readdirSync(parent)
      .filter((name) => `${parent}${name}`.startsWith(before))
      .map((name) => `${parent}${name}${after}`);
  } catch {
    return [];
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

const programs = new Memory<string[]>(60_000);

/**
 * Paths of every program of one of these names: in `folder` alone when it is given (DB_CLIENT_DIR), else in `places`
 * (folders, one `*` each) and then on PATH.
 */
export const findPrograms = (
  names: readonly string[],
  folder: string | undefined,
  places: readonly string[],
): Promise<string[]> =>
  programs.get(JSON.stringify([names, folder]), () => Promise.resolve(lookFor(names, folder, places)));

function lookFor(names: readonly string[], folder: string | undefined, places: readonly string[]): string[] {
  if (folder) warnOfOthers(folder);
  const onPath = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const folders = folder ? [folder] : differentFolders([...places.flatMap(foldersLike), ...onPath]);
  return folders.flatMap((dir) => names.map((name) => join(dir, name))).filter(isProgram);
}

/** /bin is a link to /usr/bin on most systems. */
function differentFolders(folders: readonly string[]): string[] {
  const there = folders.filter((folder) => existsSync(folder));
  return [...new Map(there.toReversed().map((folder) => [realpathSync(folder), folder])).values()].toReversed();
}

const answers = new Memory<string>(60_000);

/** As `firstOutput`, for what a program says of itself (`--version`, `--help`). */
export async function askProgram(argv: string[], limit: number): Promise<string> {
  const ask = async () => {
    const answer = await firstOutput(argv, limit);
    if (answer === "") throw new Error("no answer");
    return answer;
  };
  return answers.get(JSON.stringify([argv, limit]), ask).catch(() => "");
}

const warned = new Set<string>();

/** What others put there would run as this user. */
function warnOfOthers(folder: string): void {
  const why = warned.has(folder) ? undefined : distrust(resolve(folder));
  if (why) scriptLog().warn(`the programs in DB_CLIENT_DIR ${folder} could be exchanged: ${why.cause}; ${why.hint}`);
  warned.add(folder);
}
