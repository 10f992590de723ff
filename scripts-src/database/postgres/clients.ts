/** PostgreSQL's client programs: where they are, which of them fits a server. */
import { exitStatus, Failure } from "../../base/errors.ts";
import { askProgram, findPrograms, programFailure } from "../programs.ts";

/** Debian, Alpine, RHEL, Homebrew (Apple silicon and Intel). */
const places = [
  "/usr/lib/postgresql/*/bin",
  "/usr/libexec/postgresql*",
  "/usr/pgsql-*/bin",
  "/opt/homebrew/opt/postgresql@*/bin",
  "/usr/local/opt/postgresql@*/bin",
];

/** A client program and its version. `major` is 0 when it does not tell. */
export interface Client {
  path: string;
  version: string;
  major: number;
  minor: number;
}

/** Every installed program of that name; with `folder`, only the one in it. */
export async function findClients(program: "psql" | "pg_dump", folder: string | undefined): Promise<Client[]> {
  const paths = await findPrograms([program], folder, places);
  return Promise.all(
    paths.map(async (path) => {
      const said = await askProgram([path, "--version"], 1_000);
      const found = /^\w+ \(PostgreSQL\) ((\d+)(?:\.(\d+))?\S*)/.exec(said);
      return { path, version: found?.[1] ?? "", major: Number(found?.[2] ?? 0), minor: Number(found?.[3] ?? 0) };
    }),
  );
}

/** The newest of them: fit to talk to any server. */
export const newest = (clients: readonly Client[]): Client | undefined =>
  clients.toSorted((a, b) => b.major - a.major || b.minor - a.minor)[0];

/**
 * The client for a server of that major version: the same major, else the next newer one (pg_dump reads older servers
 * and refuses newer ones). Undefined when all are older. One that does not tell its version is left to its user.
 */
export function fittingClient(clients: readonly Client[], serverMajor: number): Client | undefined {
  return clients
    .filter((client) => client.major >= serverMajor || client.major === 0)
    .toSorted((a, b) => (a.major || Infinity) - (b.major || Infinity) || b.minor - a.minor)[0];
}

/** `\restrict` came with the minor releases of August 2025. */
export function knowsRestrict(psql: Client): boolean {
  const since: Record<number, number> = { 13: 22, 14: 19, 15: 14, 16: 10, 17: 6 };
  return psql.major >= 18 || psql.minor >= (since[psql.major] ?? Infinity);
}

/** Throws a `Failure` when this psql cannot be locked and the file is not our own. */
export function checkLock(psql: Client, trusted: boolean): void {
  if (trusted || knowsRestrict(psql)) return;
  throw new Failure(
    `psql ${psql.version} cannot be kept from running commands that a dump may hide, and the file is not known to be our own`,
    {
      status: exitStatus.missingProgram,
      hints: [
        "update PostgreSQL's client programs: 13.22, 14.19, 15.14, 16.10, 17.6, 18 and newer can be locked",
        "or, when you know where the file comes from, move it to BACKUP_DIR and restore it from there",
      ],
    },
  );
}

/** PostgreSQL's client programs, and how they are installed. */
export const packages = "PostgreSQL's client programs (Debian, Ubuntu: apt-get install postgresql-client)";

export const clientTooOld = (clients: readonly Client[], serverVersion: string, serverMajor: number): Failure =>
  programFailure(
    `pg_dump ${newest(clients)?.version} is older than the server, PostgreSQL ${serverVersion}`,
    `the client programs of version ${serverMajor} or newer (Debian, Ubuntu with the PGDG repository: ` +
      `apt-get install postgresql-client-${serverMajor})`,
  );
