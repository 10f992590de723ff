/** How MySQL's and MariaDB's client programs reach the database. */
import { start, type Program } from "../../base/process.ts";
import type { DatabaseContext } from "../database.ts";
import type { Client } from "./clients.ts";
import { writeOptionFile } from "./option-file.ts";
import type { Target } from "./login.ts";

/** What the settings say. */
export interface Login extends DatabaseContext {
  target: Target;
  /** DB_CLIENT_DIR. */
  folder: string | undefined;
}

/** A way to a database of the server. */
export interface Connection extends Login {
  /** The program for everything but dumps. */
  client: Client;
}

/** A way to a database that is always there, for what is done to the present one. */
export interface Place extends Connection {
  /** SQL with which each session begins. */
  settings: string;
  /** The present database: its name, and how it is called for people. */
  database: string;
  where: string;
  /** The server renames tables that are locked (MySQL since 8.0.13), and the user may lock them. */
  locks: boolean;
  /** MySQL: the user may make triggers for every account. */
  isSystemUser: boolean;
}

/** A database that every server has and every user may use. */
export const everywhere = "information_schema";

/** The same login, in another database. */
export const inDatabase = (connection: Connection, database: string): Connection => ({
  ...connection,
  target: { ...connection.target, database, where: connection.target.where.replace(/[^/?]*(?=$|\?)/, () => database) },
});

/** A client program that reads its login from an option file. */
export function startClient({ target, signal }: Connection, client: Client, words: readonly string[]): Program {
  using login = writeOptionFile(target, client);
  return start([client.path, login.argument, ...words], { env: login.env, signal, file: login.file });
}
