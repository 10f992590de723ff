/** A lock that keeps two runs apart and dies with its holder, however it dies. */
import { constants, Database } from "bun:sqlite";
import {
  closeSync,
  constants as files,
  existsSync,
  lstatSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { accessFailure, diskFailure } from "./disk.ts";
import { codeOf, exitStatus, Failure, messageOf } from "./errors.ts";

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
  const path = pathOf(folder, name);
  const database = lock(path, waitMs);
  leaveNote(noteOf(path), { script, pid: process.pid, since: new Date().toISOString() });
  return { [Symbol.dispose]: () => database.close() };
}

/** Throws what `takeLock` would throw now. Makes no lock file where there is none. */
export function tryLock(folder: string, name: string): void {
  const path = pathOf(folder, name);
  if (existsSync(path)) lock(path, 0).close();
}

const pathOf = (folder: string, name: string) => join(folder, `.${name}.lock`);
const noteOf = (path: string) => `${path}.holder`;

function lock(path: string, waitMs: number): Database {
  const database = open(path);
  try {
    database.run(`PRAGMA busy_timeout = ${waitMs}`);
    // a journal on the disk would need room there, and stay behind when we are killed
    database.run("PRAGMA journal_mode = MEMORY");
    database.run("BEGIN EXCLUSIVE");
    return database;
  } catch (error) {
    database.close();
    if (codeOf(error) !== "SQLITE_BUSY") throw cannotLock(path, error);
    throw new Failure(`another run holds the lock: ${describeHolder(noteOf(path))}`, {
      status: exitStatus.locked,
      hints: ["wait until that run has ended; the lock ends with its process, so there is no file to remove"],
    });
  }
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

/** SQLite keeps the cause to itself: the system tells it when the file is opened once more. */
function cannotLock(path: string, error: unknown): Failure {
  const what = `cannot lock ${path}`;
  const cause = openingFails(path);
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink())
    return new Failure(`${what}: a symbolic link is in its place`, { hints: ["remove the link"], cause: error });
  if (cause !== undefined) return accessFailure(what, path, cause);
  if (codeOf(error) === "SQLITE_FULL") return diskFailure(what, { code: "ENOSPC" });
  return new Failure(`${what}: ${messageOf(error)}`, {
    hints: [
      "the folder must be writable by the user that runs this; else check its disk (df, dmesg) and the limit of open files (ulimit -n)",
    ],
    cause: error,
  });
}

function openingFails(path: string): unknown {
  try {
    closeSync(openSync(path, files.O_RDWR | files.O_CREAT | files.O_NOFOLLOW | files.O_NONBLOCK, 0o600));
    return undefined;
  } catch (error) {
    return error;
  }
}

function describeHolder(note: string): string {
  try {
    const { script, pid, since } = JSON.parse(readFileSync(note, "utf8")) as Holder;
    return `${script}, process ${pid}, since ${since}`;
  } catch {
    return "its holder is unknown";
  }
}
