import type { Logger } from "../base/log.ts";
import type { Comparing } from "./fingerprint.ts";
import type { ServerRoles } from "./roles.ts";
import type { DatabaseProperties, Restoring } from "./restoring.ts";

type Engine = "postgresql" | "mysql" | "mariadb";

/** What the server says of itself and of the database. */
export interface Server {
  /** Human form, "PostgreSQL 15.18". */
  version: string;
  /** The first number of the version: 15, 11, 8. */
  major: number;
  /** Version of the dump program that fits it, "pg_dump 15.18". */
  client: string;
  /** What tells the server from every other one; undefined where it cannot be read. */
  system?: string | undefined;
  /** How far (ms) this machine's clock is ahead of the server's. */
  clockAhead: number;
  /** Character set of the database. */
  encoding: string;
  /** Bytes of table data; the length of the dump is about that. */
  dataBytes: number;
  /** It gives the login a second session beside that of a dump. */
  takesTwoSessions: boolean;
  /** What a person should know before a backup (tables that no snapshot covers, …). */
  warnings: string[];
}

/** What a dump holds. */
export interface Contents {
  /** Version of the server that the dump came from, where the dump says so: "15.18". */
  serverVersion?: string;
  /** Tables the dump creates. */
  tables: string[];
  /** Rows of each table that has rows in the dump, by the name it has in `tables`. */
  rows: Map<string, number>;
  /** Bytes of SQL. */
  bytes: number;
}

/**
 * Reads a dump while it passes by, chunk for chunk: a backup while it writes one, a restore before it loads one. What restore would
 * refuse, a backup refuses tonight.
 */
export interface DumpReader<C extends Contents = Contents> {
  /** Reads on. Throws `Failure` on what no dump program writes. The chunk must not change afterwards. */
  add(chunk: Uint8Array): void;
  /** After the last chunk: what the dump holds. Throws `Failure` when it is not complete. */
  end(): C;
}

/** The database that the settings name, before anything was asked of it. Adding an engine means one folder and a line in `open.ts`. */
export interface Database {
  /** What the settings say; the server knows better. */
  readonly engine: Engine;
  /** The engines whose dumps it may be able to load. */
  readonly takes: readonly Engine[];
  /** The database's name as the server knows it. */
  readonly name: string;
  /** Engine, host, port and database for people; no user's password: `postgresql://db:5432/app`. */
  readonly where: string;
  /** True when a failed load in place changes nothing: then it is done by itself where no other way is possible. */
  readonly atomicLoad: boolean;
  /** A load can continue after what cannot be loaded (`--keep-going`). */
  readonly keepsGoing: boolean;

  /** Finds the client programs and logs in (3 tries with growing waits, each logged). Throws `Failure`. */
  connect(options?: ConnectOptions): Promise<Connected>;

  /** How two dumps are compared. */
  readonly comparing: Comparing;

  /** A reader for one dump; needs no connection. It throws a `Failure` when the dump is incomplete or of another engine. */
  reader(): DumpReader;

  /** Contents with nothing in them, to be filled from a manifest. Undefined for roles: no manifest keeps their statements, which hold passwords. */
  readonly emptyContents: (() => Contents) | undefined;
}

/** One of the databases that a server has. */
export interface ServerDatabase {
  name: string;
  /** The system's own, or a template: no pattern means it. */
  isSystem: boolean;
  /** Why the user cannot connect to it, as far as the server tells. */
  refuses?: string;
}

export interface ConnectOptions {
  /** A database that the server does not have yet is no failure: see `Connected.exists`. */
  mayBeMissing?: boolean;
  /** One try, and nothing is logged of it. */
  once?: boolean;
  /** A dump leaves out, with a warning, what is broken so that it cannot be dumped: views of tables that are missing. */
  leaveOutBroken?: boolean;
}

/** The same, after the login. */
export interface Connected extends Omit<Database, "connect">, Restoring {
  readonly server: Server;
  /** False: the login was to another database of the server. */
  readonly exists: boolean;

  readonly roles: ServerRoles;

  /** The database's own properties, for the manifest (`create`). */
  readonly properties: DatabaseProperties;

  /** All databases of the server. */
  databases(): Promise<ServerDatabase[]>;

  /** Throws a `Failure` that lists which part of a backup the user may not read. */
  checkReading(): Promise<void>;

  /**
   * Runs the dump program and yields its SQL as it comes, held back by the reader. Ends normally only when the program
   * exited 0 and the dump ends in its own completion line; throws otherwise. Leaving the loop early stops the program.
   */
  dump(): AsyncIterable<Uint8Array>;

  /**
   * Throws a `Failure` when the last dump cannot be restored (rows without their tables), or lacks what the server listed as it began
   * and its program has left out silently.
   */
  checkDumped(contents: Contents): Promise<void>;

  /** A command of stock tools that restores `file` without this program. */
  stockRestore(file: string, compression: "gzip" | "zstd" | "none"): string;
}

/** What an engine gets from the run. */
export interface DatabaseContext {
  log: Logger;
  /** Aborted when the run is stopped; its reason is a `Stopped`. */
  signal: AbortSignal;
}
