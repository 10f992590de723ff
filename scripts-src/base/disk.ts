/** Errors of the file system, in words, with what to do. */
import { lstatSync, type Stats } from "node:fs";
import { statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf, Failure, messageOf } from "./errors.ts";
import { quote } from "./process.ts";
import { ownerName } from "./trust.ts";

const space = "free some space, or set BACKUP_DIR to a folder on a larger disk";
const elsewhere = "set BACKUP_DIR to a folder that can be written to";

const known: Record<string, readonly [cause: string, hint: string]> = {
  EACCES: ["permission denied", `run as a user who may use that folder (chown, chmod), or ${elsewhere}`],
  EPERM: ["operation not permitted", `run as a user who may use that folder (chown, chmod), or ${elsewhere}`],
  ENOTDIR: ["a part of the path is a file, not a folder", elsewhere],
  EISDIR: ["it is a folder, not a file", "name the file in it"],
  EEXIST: ["a file with that name is in the way", elsewhere],
  ENOENT: ["no such file or folder", "check the path, and that its disk is mounted"],
  ENOSPC: ["no space left on device", space],
  EDQUOT: ["disk quota exceeded", space],
  EFBIG: ["the file is too large for this file system or limit", "check ulimit -f and the file system"],
  EROFS: ["the file system is read-only", `mount it writable, or ${elsewhere}`],
  ENAMETOOLONG: [
    "the name is too long for the file system",
    "the database's name is part of the file name, and of its characters all but A-Z a-z 0-9 . _ - take three bytes or more there: such a database cannot be backed up into a file",
  ],
  ELOOP: ["too many symbolic links", elsewhere],
  EMFILE: ["too many open files", "raise the limit: ulimit -n, or LimitNOFILE of the service"],
  ENFILE: ["too many open files on this machine", "see who holds them (lsof), or raise fs.file-max"],
  ESTALE: ["stale file handle", "the network disk has changed: mount it again"],
  EIO: ["input/output error", "check the disk (dmesg, smartctl)"],
};

/** What to do about an error: a `Failure` says it, and of errors of the system some are known. */
export const hintsOf = (error: unknown): readonly string[] =>
  error instanceof Failure ? error.hints : (known[codeOf(error) ?? ""]?.slice(1) ?? []);

/**
 * `what` names the attempt and the path ("cannot write /x"); the cause and the hint are added. A `Failure` stays as it is.
 */
export function diskFailure(what: string, error: unknown): Failure {
  if (error instanceof Failure) return error;
  const [cause, hint] = known[codeOf(error) ?? ""] ?? [messageOf(error)];
  return new Failure(`${what}: ${cause}`, { hints: hint ? [hint] : [], cause: error });
}

/** Why `path` cannot be read. */
export const readFailure = (path: string, error: unknown): Failure => accessFailure(`cannot read ${path}`, path, error);

/** As `diskFailure`; where this user has no permission for `path`, with its owner and the command that helps. */
export function accessFailure(what: string, path: string, error: unknown): Failure {
  const owner = isPermission(error) ? ownerOf(path) : undefined;
  if (owner === undefined) return diskFailure(what, error);
  const us = process.geteuid?.() ?? 0;
  return new Failure(`${what}: permission denied; it belongs to ${ownerName(owner)}`, {
    hints: [
      owner === us
        ? `run: chmod u+rw ${quote(path)}`
        : `give this user what is in the folder: sudo chown -R ${us} ${quote(dirname(path))}; or run as ${ownerName(owner)}`,
    ],
    cause: error,
  });
}

/** Whether an error, or the cause of a `Failure`, is that this user lacks the permission. */
export const isPermission = (error: unknown): boolean =>
  ["EACCES", "EPERM"].includes(codeOf(error) ?? codeOf((error as { cause?: unknown } | null)?.cause) ?? "");

function ownerOf(path: string): Stats["uid"] | undefined {
  try {
    return lstatSync(path).uid;
  } catch {
    return undefined;
  }
}

/** Whether that `Failure` means that there is no room. */
export const isDiskFull = (error: unknown): boolean =>
  error instanceof Failure && ["ENOSPC", "EDQUOT"].includes(codeOf(error.cause) ?? "");

/** Bytes that we may still write to the folder's disk. Throws `Failure`. */
export async function freeBytes(dir: string): Promise<number> {
  try {
    const disk = await statfs(dir);
    return disk.bavail * disk.bsize;
  } catch (error) {
    throw diskFailure(`cannot ask for the free space of ${dir}`, error);
  }
}
