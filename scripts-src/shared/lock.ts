/** A lock that keeps two runs apart and dies with its holder, however it dies. */
import { constants, Database } from "bun:sqlite";
import { readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { diskFailure } from "./disk.ts";
import { codeOf, exitStatus, Failure } from "./errors.ts";

interface Holder {
  script: string;
  pid: number;
  since: string;
}

/**
 * Takes the lock `name` in `folder`, waiting for it up to `waitMs`. Throws a `Failure` with status 5 that says who holds it.
 * The lock is SQLite's own on a file (Bun has no flock), which the kernel frees when the process ends.
 */
export function takeLock(folder: string, name: string, script: string, waitMs = 0): Disposable {
  const path = join(folder, `.${name}.lock`);
  const note = `${path}.holder`;
  const database = open(path);
  try {
    database.run(`PRAGMA busy_timeout = ${waitMs}`);
    // a journal on the disk would need room there, and stay behind when we are killed
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (codeOf(error) !== "SQLITE_BUSY") throw cannotLock(path, error);
    throw new Failure(`another run holds the lock: ${describeHolder(note)}`, {
      status: exitStatus.locked,
      hints: ["wait until it has ended; the lock goes with its process, there is nothing to remove"],
    });
  }
  leaveNote(note, { script, pid: process.pid, since: new Date().toISOString() });
  return { [Symbol.dispose]: () => database.close() };
}

/** Never through a link that somebody put in its place (SQLite then minds those of the folder as well). */
function open(path: string): Database {
  const { SQLITE_OPEN_READWRITE, SQLITE_OPEN_CREATE, SQLITE_OPEN_NOFOLLOW } = constants;
  try {
    const real = join(realpathSync(dirname(path)), basename(path));
    return new Database(real, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW);
  } catch (error) {
    throw cannotLock(path, error);
  }
}

/** Says who holds the lock, in a file of its own making. Without it (disk full) the lock is as good. */
function leaveNote(note: string, holder: Holder): void {
  try {
    rmSync(note, { force: true });
    writeFileSync(note, JSON.stringify(holder), { mode: 0o600, flag: "wx" });
  } catch {
    // a restore must be possible on a full disk
  }
}

/** SQLite does not pass on what the system said. */
const cannotLock = (path: string, error: unknown) =>
  diskFailure(
    `cannot lock ${path}`,
    error,
    "the folder must be writable by the user that runs this; else check its disk (df, dmesg) and the limit of open files (ulimit -n)",
  );

function describeHolder(note: string): string {
  try {
    const { script, pid, since } = JSON.parse(readFileSync(note, "utf8")) as Holder;
    return `${script}, process ${pid}, since ${since}`;
  } catch {
    return "it does not say who it is";
  }
}
