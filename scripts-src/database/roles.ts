/** The roles (PostgreSQL) or accounts (MySQL, MariaDB) of a server: how they are backed up, and what a restore does with them. */
import { Failure } from "../base/errors.ts";
import type { Contents, DumpReader } from "./database.ts";

export interface ServerRoles {
  /** The statements that make them on another server, a line each. `notes` say what this login never reads, `lacking` what went wrong. Throws `Failure`. */
  read(): Promise<{ statements: string[]; notes: string[]; lacking: string[] }>;
  /** Whether `read` could have written that line. Others are never run. */
  isOurs: (statement: string) => boolean;
  /** Compares them with the roles that the server has; changes nothing. Throws `Failure`. */
  plan(statements: readonly string[]): Promise<RolesPlan>;
}

/** A role that exists is neither altered nor dropped; one that an interrupted restore created gets its rights. */
export interface RolesPlan {
  /** Roles that are missing and will be created. */
  missing: string[];
  /** Roles that an interrupted restore created, and that lack rights. */
  unfinished: string[];
  /** Those of them that may do everything on the server. */
  superusers: string[];
  /** Creates them; returns what the server refused, each with its reason. Throws `Failure`. */
  create(): Promise<string[]>;
  /** What had to wait for the databases. Returns the same. */
  grant(): Promise<string[]>;
  /** All that rights depend on is restored: a later run leaves these roles as they are. */
  finish(): Promise<void>;
}

export interface RolesContents extends Contents {
  statements: string[];
}

const first = "-- backup_scripts: roles of the server";
const last = "-- backup_scripts: the roles are complete";

export async function* writeRoles(statements: readonly string[]): AsyncGenerator<Uint8Array> {
  yield Buffer.from([first, ...statements, last, ""].join("\n"));
}

/** Bytes: some hundred thousand roles. */
const largest = 1 << 26;
const hints = ["restore another backup, or create the roles by hand"];

/** Reads such a file. It throws a `Failure` for every line that we would not have written. */
export function rolesReader(isOurs: ServerRoles["isOurs"]): DumpReader<RolesContents> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  return {
    add(chunk) {
      bytes += chunk.byteLength;
      if (bytes > largest) throw new Failure("this is no backup of a server's roles: it is too large", { hints });
      chunks.push(chunk);
    },
    end() {
      const lines = Buffer.concat(chunks).toString().split("\n");
      if (lines[0] !== first || lines.at(-2) !== last)
        throw new Failure("this is no complete backup of a server's roles: its first or last line is missing", {
          hints,
        });
      const statements = lines.slice(1, -2);
      const strange = statements.findIndex((line) => !isOurs(line));
      if (strange >= 0)
        throw new Failure(`line ${strange + 2} of the roles is no statement that backup writes`, { hints });
      return { tables: [], rows: new Map(), bytes, statements };
    },
  };
}
