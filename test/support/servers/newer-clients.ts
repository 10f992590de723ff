/** PostgreSQL's client programs 17 and 18 in `.cache/pgclient-<major>/`, beside whatever the machine has installed. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { cache, fetchPackages, run, writeWrappers } from "./debian.ts";

const suiteOf = { 17: "trixie", 18: "sid" } as const;
const majors = [17, 18] as const;
/** Of the packages that the clients depend on: the C libraries, not Perl and its like, which only wrappers need. */
const wanted = /^(lib(?!perl|db5|gdbm)|postgresql-client-\d|zlib1g)/;

export type NewerMajor = keyof typeof suiteOf;

/** Folder with the client programs of that major version; a value for DB_CLIENT_DIR. */
export const newerClientDir = (major: NewerMajor): string => join(cache, `pgclient-${major}`);

/** Fetches what is not there yet (a download of 15 MB). What it returns went wrong. */
export function fetchPostgresClients(): { message: string; remedy: string } | undefined {
  if (majors.every(works)) return undefined;
  const remedy = majors.map((n) => `put PostgreSQL ${n}'s pg_dump and psql into ${newerClientDir(n)}`).join("\n");
  if (!Bun.which("apt-get")) return { message: "no PostgreSQL clients 17 and 18, and no apt-get", remedy };
  console.error("fetching PostgreSQL clients 17 and 18 …");
  try {
    const root = join(cache, "pgclient-root");
    const packages = majors.map((major) => `postgresql-client-${major}`);
    fetchPackages(root, { suites: Object.values(suiteOf), packages, wanted });
    for (const major of majors) {
      const bin = `usr/lib/postgresql/${major}/bin`;
      const programs = readdirSync(join(root, bin)).map((program) => join(bin, program));
      writeWrappers(root, newerClientDir(major), programs);
    }
    if (!majors.every(works)) throw new Error("they were fetched but do not run");
    return undefined;
  } catch (error) {
    return { message: `no PostgreSQL clients 17 and 18: ${String(error)}`, remedy };
  }
}

function works(major: NewerMajor): boolean {
  const program = join(newerClientDir(major), "pg_dump");
  return existsSync(program) && run([program, "--version"]).includes(` ${major}.`);
}
