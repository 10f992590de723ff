/** How PostgreSQL's client programs reach the database. */
import type { Client } from "./clients.ts";
import { describeTarget, formatConninfo, type Keywords, targetFromSettings } from "./conninfo.ts";
import type { Settings } from "../../settings/settings.ts";
import type { DatabaseContext } from "../database.ts";

/** What the settings say. */
export interface Login extends DatabaseContext {
  /** How to get there, the password left out. */
  keywords: Keywords;
  database: string;
  /** For people: `postgresql://db:5432/app`. */
  where: string;
  /** The keywords as an argument, `--dbname=…`. */
  dbname: string;
  /** Password, time limit and options of the session, for the environment of the client programs. */
  env: Record<string, string>;
  /** DB_CLIENT_DIR. */
  folder: string | undefined;
}

/** A way to one database of the server. */
export interface Connection extends Login {
  /** The program for everything but dumps. */
  psql: Client;
}

/** Connects to nothing yet. Throws `Failure` when the settings do not name a database. */
export function connectionFrom(settings: Settings, context: DatabaseContext): Login {
  const target = targetFromSettings(settings);
  return {
    log: context.log,
    signal: context.signal,
    ...reach(target.keywords, target.database),
    env: {
      PGCONNECT_TIMEOUT: process.env.PGCONNECT_TIMEOUT ?? "10",
      // what a login or a database has for client_encoding must not reach what we read and write
      PGCLIENTENCODING: "UTF8",
      // libpq would connect there instead of to the host of the settings
      ...(target.keywords.some(([keyword]) => keyword === "host") ? { PGHOSTADDR: "" } : {}),
      ...(target.password === undefined ? {} : { PGPASSWORD: target.password }),
      ...(target.options === undefined ? {} : { PGOPTIONS: target.options }),
    },
    folder: settings.DB_CLIENT_DIR,
  };
}

function reach(keywords: Keywords, database: string): Pick<Login, "keywords" | "database" | "where" | "dbname"> {
  const dbname = `--dbname=${formatConninfo([...keywords, ["fallback_application_name", "backup_scripts"]])}`;
  return { keywords, database, where: describeTarget(keywords, database), dbname };
}

/** The same way to another database of the server. */
export function inDatabase(connection: Connection, database: string): Connection {
  const others = connection.keywords.filter(([keyword]) => keyword !== "dbname");
  return { ...connection, ...reach([...others, ["dbname", database]], database) };
}
