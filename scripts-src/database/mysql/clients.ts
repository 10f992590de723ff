/** The client programs of MySQL and MariaDB: where they are, whose they are, which of them fits a server. */
import type { Failure } from "../../base/errors.ts";
import { askProgram, findPrograms, missingProgram as missing, programFailure } from "../programs.ts";

export type Family = "mysql" | "mariadb";

export interface Client {
  path: string;
  /** "mariadb-dump", "mysql", … */
  name: string;
  family: Family;
  /** "10.11.19"; empty when it does not tell. */
  version: string;
  /** How it learns what to set in its session, before anything else; undefined: not at all. */
  setsAside: "by option" | "by host" | undefined;
  /** Whether it has that long option (without dashes). */
  knows(option: string): boolean;
}

/** What the choice of programs has to know of a server. */
export interface ServerKind {
  family: Family;
  /** "10.11.19" */
  version: string;
}

const programNames = { dump: ["mariadb-dump", "mysqldump"], client: ["mariadb", "mysql"] } as const;

/** Homebrew (Apple silicon and Intel), MySQL's own packages; Linux has them on PATH. */
const places = [
  "/opt/homebrew/opt/mariadb*/bin",
  "/opt/homebrew/opt/mysql*/bin",
  "/usr/local/opt/mariadb*/bin",
  "/usr/local/opt/mysql*/bin",
  "/usr/local/mysql*/bin",
];

/** Every installed program of that kind; with `folder`, only those in it. */
export async function findClients(kind: keyof typeof programNames, folder: string | undefined): Promise<Client[]> {
  const found = await findPrograms(programNames[kind], folder, places);
  return Promise.all(
    found.map(async (path) => {
      const [said, help] = await Promise.all([
        askProgram([path, "--version"], 1_000),
        askProgram([path, "--no-defaults", "--help"], 200_000),
      ]);
      const family = /mariadb/i.test(said) ? "mariadb" : "mysql";
      const knows = (option: string) => new RegExp(`^ +(-\\w, )?--${option}(?![\\w-])`, "m").test(help);
      return {
        path,
        name: path.slice(path.lastIndexOf("/") + 1),
        family,
        // "Ver 9.7.4 for Linux", "Ver 10.13 Distrib 5.7.44, for …", "from 11.8.9-MariaDB, client 15.2 for …"
        version: /\b(?:Ver|Distrib|from) (\d+\.\d+\.\d+)/.exec(said)?.[1] ?? "",
        knows,
        setsAside: setsAside(family, knows),
      };
    }),
  );
}

function setsAside(family: Family, knows: Client["knows"]): Client["setsAside"] {
  if (knows("init-command")) return "by option";
  return family === "mariadb" ? "by host" : undefined;
}

/** Numbers of a version for comparing: MySQL changes with the first number, MariaDB with the first two. */
export const release = ({ family, version }: ServerKind): number => {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return family === "mariadb" ? major * 1000 + minor : major * 1000;
};

/**
 * Best first: the server's own family; in it the same release, then the next newer ones, then the newest of the older
 * ones (both families' programs work with newer servers, but know nothing of what is new there).
 */
export function rankClients(clients: readonly Client[], server: ServerKind): Client[] {
  const distance = (client: Client) => {
    const behind = release(server) - release({ ...client, family: server.family });
    return (client.family === server.family ? 0 : 1e9) + (behind > 0 ? 1e6 + behind : -behind);
  };
  return clients.toSorted((a, b) => distance(a) - distance(b));
}

const packages = {
  mariadb: "MariaDB's client programs (Debian, Ubuntu: apt-get install mariadb-client)",
  mysql: "MySQL's client programs (Ubuntu: apt-get install mysql-client; others: MySQL's own repository)",
};

export const missingProgram = (kind: keyof typeof programNames, family: Family, folder: string | undefined): Failure =>
  missing(programNames[kind], folder, packages[family]);

/** `why` is a clause: "it writes values of generated columns, …". */
export const unfitProgram = (client: Client, server: ServerKind, why: string): Failure =>
  programFailure(
    `${client.name} ${client.version} (${client.path}) does not fit the server: ${why}`,
    packages[server.family],
  );
