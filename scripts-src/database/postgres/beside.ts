/**
 * A new database beside the present one, which takes its place by an exchange of names: nobody sees it before it is whole, the
 * present one serves its users meanwhile, and stays afterwards.
 */
import { Failure, messageOf } from "../../base/errors.ts";
import { quote } from "../../base/process.ts";
import { stampOf } from "../../base/text.ts";
import type { Server } from "../database.ts";
import type { Client } from "./clients.ts";
import { type Connection, inDatabase } from "./connection.ts";
import { query } from "./query.ts";
import { name } from "./contents.ts";
import { dump } from "./dump.ts";
import type { Clients } from "./probe.ts";
import { execute } from "./session.ts";
import { splitStatements } from "./statements.ts";

export interface NewDatabase {
  connection: Connection;
  /** Puts it in the place of the present one and returns the name that that has now. Throws `Failure`; then nothing was exchanged. */
  exchange: () => Promise<string>;
  /** Drops it, unless the exchange has begun: then it is in its place, or can be put there by hand. */
  discard: () => Promise<void>;
}

/** How long somebody else's lock is waited for, by what no signal stops. */
const patience = "SET lock_timeout = '10s';\n";
const transaction = (statements: readonly string[]) => ["BEGIN;", ...statements, "COMMIT;\n"].join("\n");
const identifier = (text: string) => `"${text.replaceAll('"', '""')}"`;
const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** PostgreSQL's limit. */
const longestName = 63;

/** The name of a database beside `database`: `app_before_2026-01-31_03-00-00`; a long one is cut, as UTF-8. */
export function besideName(database: string, what: "new" | "before", time: Date): string {
  const suffix = `_${what}_${stampOf(time)}`;
  const letters = Array.from(database);
  while (Buffer.byteLength(letters.join("")) + suffix.length > longestName) letters.pop();
  return letters.join("") + suffix;
}

/** The comment of a database that is not whole yet: how a later run knows what a killed one has left. */
const unfinished = (database: string) => literal(`backup_scripts: unfinished restore of ${database}`);

/**
 * Creates it, empty, with the encoding, locale, owner, privileges and settings of the present one. What a killed run has left is
 * dropped. Throws `Failure`.
 */
export async function createBeside(present: Connection, clients: Clients, { major }: Server): Promise<NewDatabase> {
  const { log } = present;
  const { psql } = clients;
  const maintenance = await openMaintenance(present, psql);
  /** For what is done in seconds, and could not be told when it was half done. */
  const unstoppable = { ...maintenance, signal: new AbortController().signal };
  await dropLeftovers(maintenance, psql, present.database);
  const time = await freeTime(maintenance, psql, present.database);
  const fresh = besideName(present.database, "new", time);
  const connection = inDatabase(present, fresh);
  const properties = await readProperties(present, clients, fresh, major);
  let wanted = true;

  async function discard(): Promise<void> {
    if (!wanted) return;
    wanted = false;
    const { signal } = maintenance;
    const way = { ...maintenance, signal: signal.aborted ? AbortSignal.timeout(15_000) : signal };
    try {
      await execute(way, psql, `cannot drop ${fresh}`, `DROP DATABASE IF EXISTS ${identifier(fresh)} WITH (FORCE);`);
    } catch (error) {
      log.warn(
        `the unfinished database ${fresh} may still be there, the next restore --swap drops it: ${messageOf(error)}`,
      );
    }
  }

  try {
    // The server goes on with a CREATE DATABASE whose client is gone; psql goes on with its input when we are. Together they leave
    // no database without the comment by which it is found again.
    const create = [properties.create, `COMMENT ON DATABASE ${identifier(fresh)} IS ${unfinished(present.database)};`];
    await execute(unstoppable, psql, `cannot create the database ${fresh}`, patience + create.join("\n"));
    await execute(maintenance, psql, `cannot set up the database ${fresh}`, transaction(properties.early));
  } catch (error) {
    await discard();
    throw error;
  }
  log.info(`created the database ${fresh}`);

  async function exchange(): Promise<string> {
    present.signal.throwIfAborted();
    const before = besideName(present.database, "before", time);
    const renames = [
      `ALTER DATABASE ${identifier(present.database)} RENAME TO ${identifier(before)};`,
      `ALTER DATABASE ${identifier(fresh)} RENAME TO ${identifier(present.database)};`,
    ];
    wanted = false;
    try {
      await withoutSessions(unstoppable, psql, present.database, transaction([...properties.late, ...renames]));
    } catch (error) {
      // a connection that broke may have broken behind the COMMIT
      const exists = `SELECT to_json(count(*)) FROM pg_database WHERE datname = ${literal(before)}`;
      const done = await query<number>(unstoppable, psql, exists).catch(() => undefined);
      if (done !== 1) throw await explain(error, renames, done === undefined);
    }
    return before;
  }

  /** A load of hours is not thrown away for a session that would not go. */
  async function explain(cause: unknown, renames: readonly string[], lost: boolean): Promise<Failure> {
    const kept = await execute(unstoppable, psql, "cannot change the comment", properties.late.join("\n")).then(
      () => "",
      () => " until the next restore --swap",
    );
    const words = ["psql", "-d", maintenance.database, "-c", renames.join(" ")].map(quote).join(" ");
    const state = lost
      ? "perhaps they were exchanged: look at the databases"
      : `${present.where} is as it was; the restored database is whole and stays as ${fresh}${kept}`;
    return new Failure(`${messageOf(cause)}\n${state}`, {
      hints: [
        `stop what uses the database, then exchange them as its owner: ${words}`,
        `or drop it: DROP DATABASE ${identifier(fresh)};`,
      ],
      cause,
    });
  }

  return { connection, exchange, discard };
}

/** Databases that are there to be connected to when no other may be. */
const places = ["postgres", "template1"];

/** Neither of the two can be connected to while they are renamed. */
async function openMaintenance(present: Connection, psql: Client): Promise<Connection> {
  let cause: unknown;
  for (const place of places.filter((name) => name !== present.database)) {
    const connection = inDatabase(present, place);
    try {
      await query(connection, psql, "SELECT to_json(1)");
      return connection;
    } catch (error) {
      present.signal.throwIfAborted();
      cause ??= error;
    }
  }
  throw new Failure(`--swap needs another database to connect to while the two are exchanged: ${messageOf(cause)}`, {
    hints: ["allow the login to connect to the database postgres, or restore without --swap"],
    cause,
  });
}

/** A second of which no database beside has its name yet. */
async function freeTime(maintenance: Connection, psql: Client, database: string): Promise<Date> {
  for (;;) {
    const time = new Date();
    const names = (["new", "before"] as const).map((what) => literal(besideName(database, what, time)));
    const taken = `SELECT to_json(count(*)) FROM pg_database WHERE datname IN (${names.join(", ")})`;
    if ((await query<number>(maintenance, psql, taken)) === 0) return time;
    await Bun.sleep(100);
  }
}

async function dropLeftovers(maintenance: Connection, psql: Client, database: string): Promise<void> {
  const left = await query<string[]>(
    maintenance,
    psql,
    `SELECT coalesce(json_agg(datname), '[]') FROM pg_database
     WHERE shobj_description(oid, 'pg_database') = ${unfinished(database)} AND pg_has_role(datdba, 'USAGE')`,
  );
  for (const found of left) {
    try {
      await execute(maintenance, psql, `cannot drop ${found}`, `DROP DATABASE IF EXISTS ${identifier(found)};`);
      maintenance.log.info(`dropped ${found}, which a restore that was killed has left`);
    } catch (error) {
      maintenance.signal.throwIfAborted();
      maintenance.log.warn(`${found}, which another restore has left or still works on, stays: ${messageOf(error)}`);
    }
  }
}

interface Properties {
  create: string;
  /** What may be refused, so that it is before a long load. */
  early: string[];
  /** What would be in the way of the load (limit of connections, read-only), or is for the finished database (comment). */
  late: string[];
}

const about = new RegExp(
  String.raw`^(CREATE|ALTER|COMMENT ON|ALTER ROLE ${name} IN|(?:GRANT|REVOKE) [A-Z, ]+ ON|SECURITY LABEL FOR ${name} ON) DATABASE ${name}`,
);

/** What makes a database like the present one, under the name `fresh`, as pg_dump of its version knows it. */
async function readProperties(
  present: Connection,
  clients: Clients,
  fresh: string,
  major: number,
): Promise<Properties> {
  const statements: string[] = [];
  const options = ["--create", "--schema-only", "--exclude-schema=*"];
  for await (const piece of splitStatements(dump(present, clients, options))) {
    if (piece.kind !== "statement") continue;
    const found = about.exec(piece.text);
    const old = found?.at(-1);
    if (!found || old === undefined) continue;
    const start = found[0].slice(0, found[0].length - old.length);
    statements.push(start + identifier(fresh) + piece.text.slice(found[0].length));
  }
  const [create, ...others] = statements.filter((text) => !text.startsWith("COMMENT"));
  const comment = statements.find((text) => text.startsWith("COMMENT"));
  if (!create?.startsWith("CREATE")) throw new Failure(`pg_dump does not tell how ${present.where} was created`);
  const isLate = (text: string) => / CONNECTION LIMIT = | SET default_transaction_read_only /.test(text);
  return {
    // written by pg_dump 15 and later whatever the server
    create: major < 15 ? create.replace(" LOCALE_PROVIDER = libc", "") : create,
    early: others.filter((text) => !isLate(text)),
    late: [...others.filter(isLate), comment ?? `COMMENT ON DATABASE ${identifier(fresh)} IS NULL;`],
  };
}

/** Sessions that the user may end. */
export const mayEnd = `(pg_has_role(usesysid, 'USAGE') OR (pg_has_role('pg_signal_backend', 'USAGE')
  AND NOT coalesce((SELECT rolsuper FROM pg_roles WHERE oid = usesysid), true)))`;

/**
 * Runs SQL that needs the database without sessions. PostgreSQL locks it against new ones and waits five seconds for those there are
 * to end: meanwhile they are ended here.
 */
async function withoutSessions(maintenance: Connection, psql: Client, database: string, sql: string): Promise<void> {
  const endThem = `SELECT to_json(count(pg_terminate_backend(pid))) FROM pg_stat_activity
    WHERE datname = ${literal(database)} AND ${mayEnd}`;
  const work = execute(maintenance, psql, `cannot exchange ${database} for the restored database`, patience + sql);
  const over = work.then(
    () => true,
    () => true,
  );
  do
    await query(maintenance, psql, endThem).catch(() => {}); // who stays is told by the exchange
  while (!(await Promise.race([over, Bun.sleep(100)])));
  await work;
}
