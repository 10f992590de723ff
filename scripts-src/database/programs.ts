/** Finds the client programs of a database. */
import { globSync, realpathSync } from "node:fs";
import { delimiter, resolve } from "node:path";
import { exitStatus, Failure } from "../base/errors.ts";
import { scriptLog } from "../base/log.ts";
import { memory } from "../base/memory.ts";
import { firstOutput } from "../base/process.ts";
import { distrust } from "../base/trust.ts";

const programs = memory<string[]>(60_000);

/**
 * Paths of every program of one of these names: in `folder` alone when it is given (DB_CLIENT_DIR), else in `places`
 * (folders, one `*` each) and then on PATH.
 */
export const findPrograms = (
  names: readonly string[],
  folder: string | undefined,
  places: readonly string[],
): Promise<string[]> =>
  programs(JSON.stringify([names, folder]), () => Promise.resolve(lookFor(names, folder, places)));

function lookFor(names: readonly string[], folder: string | undefined, places: readonly string[]): string[] {
  if (folder) warnOfOthers(folder);
  const onPath = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const folders = folder ? [folder] : [...globSync([...places]), ...onPath];
  const found = folders.flatMap((dir) => names.flatMap((name) => Bun.which(name, { PATH: dir }) ?? []));
  // /bin is a link to /usr/bin on most systems, and Debian's mysqldump one to mariadb-dump
  const files = [...new Map(found.toReversed().map((path) => [realpathSync(path), path]))].toReversed();
  // Debian's pg_wrapper, in Perl, starts one of the others: to say its version it takes five times as long as they do
  const others = files.filter(([file]) => !file.endsWith("/pg_wrapper"));
  return (others.length > 0 ? others : files).map(([, path]) => path);
}

/** The failure of a program that is missing or does not fit; `programs` are what helps. */
export const programFailure = (what: string, programs: string): Failure =>
  new Failure(what, {
    status: exitStatus.missingProgram,
    hints: [`install ${programs}, or set DB_CLIENT_DIR to the folder that holds them`],
  });

/** None of these programs was found, in `folder` where that is given. */
export const missingProgram = (names: readonly string[], folder: string | undefined, programs: string): Failure => {
  const found = names.length > 1 ? `neither ${names.join(" nor ")} was found` : `${names[0]} was not found`;
  return programFailure(folder ? `${found} in DB_CLIENT_DIR ${folder}` : found, programs);
};

const answers = memory<string>(60_000);

/** As `firstOutput`, for what a program says of itself (`--version`, `--help`). */
export async function askProgram(argv: string[], limit: number): Promise<string> {
  const ask = async () => {
    const answer = await firstOutput(argv, limit);
    if (answer === "") throw new Error("no answer");
    return answer;
  };
  return answers(JSON.stringify([argv, limit]), ask).catch(() => "");
}

const warned = new Set<string>();

/** What others put there would run as this user. */
function warnOfOthers(folder: string): void {
  const why = warned.has(folder) ? undefined : distrust(resolve(folder));
  if (why) scriptLog().warn(`the programs in DB_CLIENT_DIR ${folder} could be exchanged: ${why.cause}; ${why.hint}`);
  warned.add(folder);
}
