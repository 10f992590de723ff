/**
 * Whether other users could change what lies at a path. As sshd judges its files: everything on the way belongs to root or to the
 * user of this process, and nobody else may write to it.
 */
import { existsSync, lstatSync, mkdtempSync, readlinkSync, rmdirSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { quote } from "./process.ts";

/** Why something cannot be trusted. */
export interface Distrust {
  /** A clause: "every user can write to /srv/share". */
  cause: string;
  /** The command that mends it, and other ways out. */
  hint: string;
}

/** A folder, link or file on the way to a path. */
interface Step {
  path: string;
  found: Stats;
  /** Something is mounted there. */
  mounted: boolean;
}

/** Bits of a mode. */
const [byEverybody, byGroup, sticky] = [0o002, 0o020, 0o1000];

/**
 * Why an absolute path cannot be trusted; undefined when it can, as far as it exists. The last part of it may not be a folder where everybody
 * makes files (/tmp), the folders above may. What is above a mount point cannot be exchanged and is not looked at; in a container,
 * which has no other users, what was mounted is trusted as it was mounted.
 */
export function distrust(path: string, container: boolean = inContainer()): Distrust | undefined {
  const { steps, complete } = wayTo(path);
  const last = complete ? steps.at(-1) : undefined;
  const owners = new Set([0, process.geteuid?.() ?? 0]);
  for (const step of steps) {
    const given = step.mounted && container;
    // a volume belongs to whom the host says
    if (given) owners.add(step.found.uid);
    if (!owners.has(step.found.uid) && !isMapped(step, steps)) return foreign(step);
    const why = given || step.found.isSymbolicLink() ? undefined : writable(step, step === last);
    if (why) return why;
  }
  return undefined;
}

/** Whether a file in a trusted folder is as trustworthy as that: undefined when it is. */
export function distrustFile(path: string, file: Stats, folder: Stats): Distrust | undefined {
  const step = { path, found: file, mounted: false };
  const isOurs = [0, process.geteuid?.(), folder.uid].includes(file.uid);
  return isOurs ? writable(step, true) : foreign(step);
}

/** How to name the owner of a file. */
export const ownerName = (uid: number): string => (uid === 0 ? "root" : `user ${uid}`);

function foreign({ path, found }: Step): Distrust {
  const us = process.geteuid?.() ?? 0;
  const link = found.isSymbolicLink();
  return {
    cause: `${link ? "the symbolic link " : ""}${path} belongs to ${ownerName(found.uid)}, who can change it`,
    hint: `run as that user (sudo -u '#${found.uid}' ...), or as root: chown ${link ? "-h " : ""}${us} ${quote(path)}`,
  };
}

function writable({ path, found }: Step, isLast: boolean): Distrust | undefined {
  const shared = (found.mode & sticky) !== 0 && found.isDirectory();
  // in such a folder nobody can rename what belongs to others
  if (shared && !isLast) return undefined;
  if (found.mode & byEverybody)
    return {
      cause: `every user can write to ${path}`,
      hint: shared ? `use a folder in it: mkdir -m 700 ${quote(join(path, "mine"))}` : `run: chmod o-w ${quote(path)}`,
    };
  if (!(found.mode & byGroup) || ourGroups().includes(found.gid)) return undefined;
  return { cause: `the users of group ${found.gid} can write to ${path}`, hint: `run: chmod g-w ${quote(path)}` };
}

const ourGroups = () => [0, process.getegid?.() ?? 0, ...(process.getgroups?.() ?? [])];

const inContainer = () =>
  ["/.dockerenv", "/run/.containerenv"].some(existsSync) || process.env["KUBERNETES_SERVICE_HOST"] !== undefined;

/**
 * Whether the file system gives what we create there to that owner too (NFS with squashed users, a FAT disk): then the number says
 * nothing about who it is. Tried with an empty folder that is removed again.
 */
function isMapped({ found }: Step, steps: readonly Step[]): boolean {
  const folder = steps.findLast((step) => step.found.isDirectory());
  if (folder?.found.dev !== found.dev) return false;
  try {
    const made = mkdtempSync(join(folder.path, ".backup_scripts-"));
    const { uid } = lstatSync(made);
    rmdirSync(made);
    return uid === found.uid;
  } catch {
    return false;
  }
}

/** As many symbolic links as Linux follows. */
const mostLinks = 40;

/** Everything that decides what `path` means, as far as it exists, from the last mount point on; links are followed. */
function wayTo(path: string): { steps: Step[]; complete: boolean } {
  const before: Step[] = [];
  let here = stepTo("/");
  let sinceMount = [here].filter((step) => step !== undefined);
  const names = namesIn(path);
  for (let links = 0; here && names.length > 0;) {
    const name = names.shift() ?? "";
    const next = name === ".." ? stepTo(dirname(here.path)) : stepTo(join(here.path, name), here);
    if (next?.found.isSymbolicLink() && links++ < mostLinks) {
      const target = readlinkSync(next.path);
      names.unshift(...namesIn(target));
      before.push(...sinceMount.splice(0), next);
      if (target.startsWith("/")) here = stepTo("/");
      continue;
    }
    if (next?.mounted) sinceMount = [];
    // what is above has been looked at
    if (next && name !== "..") sinceMount.push(next);
    here = next;
  }
  return { steps: [...before, ...sinceMount], complete: here !== undefined };
}

const namesIn = (path: string) => path.split("/").filter((name) => name !== "" && name !== ".");

/** Undefined when there is nothing, or nothing that we may see: whoever opens it says why. */
function stepTo(path: string, parent?: Step): Step | undefined {
  try {
    const found = lstatSync(path);
    return { path, found, mounted: parent !== undefined && !found.isSymbolicLink() && found.dev !== parent.found.dev };
  } catch {
    return undefined;
  }
}
