/** PostgreSQL's client programs for tests: the machine's own for servers up to their version, fetched ones for newer. */
import { chmodSync, existsSync, globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { newerClientDir } from "./newer-clients.ts";
import { tempDir } from "../machine/temp.ts";
import { until } from "../machine/until.ts";

/** Folder of pg_dump and psql that can dump a server of that major version. */
export function clientDir(major: number): string {
  const own = installedClients();
  if (own.major >= major) return own.dir;
  return newerClientDir(major > 17 ? 18 : 17);
}

/** The newest client programs that the machine has installed; Debian's own ones, not their wrapper in /usr/bin. */
function installedClients(): { dir: string; major: number } {
  const debian = globSync("/usr/lib/postgresql/*/bin").filter((dir) => existsSync(join(dir, "pg_dump")));
  const newest = debian.toSorted((a, b) => majorIn(b) - majorIn(a))[0];
  if (newest) return { dir: newest, major: majorIn(newest) };
  const found = Bun.which("pg_dump");
  if (!found) throw new Error("pg_dump is missing: run bun test/support/setup.ts");
  const version = Bun.spawnSync([found, "--version"]).stdout.toString();
  return { dir: dirname(found), major: majorIn(version) };
}

/** The first number of a text: the major version in a folder's name or in `pg_dump --version`. */
const majorIn = (text: string) => Number(/\d+/.exec(text)?.[0]);

/**
 * A folder for DB_CLIENT_DIR in which some programs are shell scripts of the test and the others are the real ones of
 * `real`. `$REAL` is the real program in such a script; `--version` and `--no-defaults --help` are answered by it before
 * the script runs, unless the script starts with `#`.
 */
export function clientsWith(real: string, scripts: Record<string, string>, programs = ["pg_dump", "psql"]): string {
  const dir = tempDir("clients");
  for (const program of programs) {
    const file = join(dir, program);
    writeFileSync(file, asProgram(join(real, program), scripts[program] ?? 'exec "$REAL" "$@"'));
    chmodSync(file, 0o755);
  }
  return dir;
}

function asProgram(real: string, script: string): string {
  const question = '[ "$1" = --version ] || [ "$1" = --no-defaults ]';
  const answer = script.startsWith("#") ? "" : `if ${question}; then exec "$REAL" "$@"; fi\n`;
  return `#!/bin/sh\nREAL='${real}'\n${answer}${script}\n`;
}

/** A dump program that pauses in the middle, so that something can happen to it there. */
export interface PausingDump {
  /** The value for DB_CLIENT_DIR. */
  clientDir: string;
  /** Waits until it has written `bytes` and stands still; the process number of the real program. */
  paused(): Promise<number>;
  /** Lets it go on. */
  resume: () => void;
}

/** `programs` are those of the folder, the dump program first; `first` is what that one does before it starts. */
export function pausingDump(real: string, bytes = 300_000, programs = ["pg_dump", "psql"], first = ""): PausingDump {
  const marks = tempDir("pause");
  const [pause, resume] = [join(marks, "pause"), join(marks, "resume")];
  const script = `${first}
pipe='${marks}/pipe'; mkfifo "$pipe"
"$REAL" "$@" > "$pipe" & dump=$!
{ head -c ${bytes}; echo $dump > '${pause}.new'; mv '${pause}.new' '${pause}'
  while [ ! -e '${resume}' ]; do sleep 0.05; done; cat; } < "$pipe"
wait $dump`;
  return {
    clientDir: clientsWith(real, { [programs[0] ?? ""]: script }, programs),
    paused: async () =>
      Number(await until("the dump program is in the middle", () => existsSync(pause) && readFileSync(pause, "utf8"))),
    resume: () => writeFileSync(resume, ""),
  };
}
